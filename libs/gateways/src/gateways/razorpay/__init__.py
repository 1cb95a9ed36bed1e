"""Razorpay, API v1."""
