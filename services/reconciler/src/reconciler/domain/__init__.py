"""What must agree, when a difference counts, what a lost delivery is, and what billing adds up to. Pure."""
