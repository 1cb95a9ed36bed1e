"""Tables, writes and reads of reconciliation and billing analytics; the only SQL."""
