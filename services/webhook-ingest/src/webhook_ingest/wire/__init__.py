"""Domain ⇄ HTTP and protobuf. No decisions."""
