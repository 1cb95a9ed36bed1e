"""Cashfree Payments PG as it looks from outside: API version 2025-01-01, with 2023-08-01 and 2026-01-01 accepted."""
