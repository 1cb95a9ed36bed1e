"""Score payments, count what becomes of them, show what was decided."""
