"""Payments: states, rules, errors. Pure: no clock, no randomness, no I/O."""
