"""Queue mails, send them, digest alerts, and say what became of the mails about a payment."""
