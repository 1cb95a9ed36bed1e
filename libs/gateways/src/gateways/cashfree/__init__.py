"""Cashfree PG, API version 2025-01-01. Every module but `adapter` is pure."""
