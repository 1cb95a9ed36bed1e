"""The tables of webhook-ingest and the only SQL."""
