"""webhook-ingest owns inbound gateway webhooks: it verifies, stores them raw, announces them once and tracks them."""
