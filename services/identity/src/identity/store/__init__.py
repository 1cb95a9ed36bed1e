"""Tables, commands and queries: the only SQL."""
