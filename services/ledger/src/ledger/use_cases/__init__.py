"""What the ledger does, each use case in one transaction."""
