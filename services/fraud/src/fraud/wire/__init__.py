"""Domain ⇄ protobuf. No decisions."""
