"""Tables, writes and reads of notifier; the only SQL."""
