"""The outside world: payment, which knows the merchants' gateway accounts."""
