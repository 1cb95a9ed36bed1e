"""What the fleet can carry, measured from outside: capacity, latency, and what a payment costs each process."""
