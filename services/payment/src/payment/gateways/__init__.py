"""What payment asks of its neighbours: a score of fraud, the packs of wallet."""
