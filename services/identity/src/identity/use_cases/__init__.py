"""Lock, decide, save, announce: on lists. Each list gets a result or a DomainError for every item, in order."""
