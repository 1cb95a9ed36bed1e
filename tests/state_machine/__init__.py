"""Money in any order: the use cases of payment, wallet and ledger over a real PostgreSQL, drawn by Hypothesis."""
