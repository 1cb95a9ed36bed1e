"""Owns wallets, credit lots, wallet transactions and packs: what a member may still spend, and what it once cost."""
