"""Domain ⇄ JSON and protobuf. No decisions."""
