"""What fraud decides and by what. Pure: the stored history and the time are passed in."""
