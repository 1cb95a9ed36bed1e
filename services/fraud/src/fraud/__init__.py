"""fraud owns scores and their rules, velocity, the history of addresses and devices, lists, and fraud events."""
