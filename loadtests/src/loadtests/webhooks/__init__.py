"""A storm of gateway webhooks: how many are accepted, how many rejected, and that none that was accepted is lost."""
