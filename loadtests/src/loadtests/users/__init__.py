"""Journeys for Locust: what people and gateways do, step by step, through the public edge of a running stack."""
