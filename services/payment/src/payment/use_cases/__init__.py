"""Lock, decide, save, announce."""
