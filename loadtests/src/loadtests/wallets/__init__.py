"""What the wallet and the ledger carry together: millions of transactions through the wallet's own interfaces."""
