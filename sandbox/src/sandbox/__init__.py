"""A simulator of payment gateways that the official SDKs accept; not part of the product."""
