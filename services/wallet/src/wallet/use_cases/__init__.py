"""Lock, decide, save, announce; and what is read."""
