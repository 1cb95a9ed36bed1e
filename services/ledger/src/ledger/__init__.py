"""The books: chart of accounts, journals in double entry, the audit log; nothing here is ever changed or deleted."""
