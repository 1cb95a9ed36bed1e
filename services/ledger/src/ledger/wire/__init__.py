"""The domain to and from protobuf; no decisions."""
