"""Between the wire and the domain; no decisions."""
