"""A storm of gateway webhooks: what the door takes, what it turns away, and that nothing it took is lost."""
