"""Disasters that can be rerun: a fleet behind fault proxies, scenarios, and a history that is checked at the end."""
