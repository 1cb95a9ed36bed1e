"""Wallets, lots and what may happen to them: pure, and written for batches."""
