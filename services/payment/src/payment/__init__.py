"""Payments, their attempts, transactions and invoices, and the gateways that carry them out."""
