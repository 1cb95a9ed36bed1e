"""Service defaults of the fleet: nothing in here knows what a payment is."""
