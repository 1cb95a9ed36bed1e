"""A simulator of Razorpay's API v1."""
