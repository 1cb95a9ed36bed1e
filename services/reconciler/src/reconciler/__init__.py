"""Proves that books, wallets, payments and deliveries agree; mends lost deliveries, opens a case for the rest."""
