"""The domain to and from protobuf and JSON; no decisions."""
