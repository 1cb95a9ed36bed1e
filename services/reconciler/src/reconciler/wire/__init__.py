"""Messages and JSON in and out. No decisions."""
