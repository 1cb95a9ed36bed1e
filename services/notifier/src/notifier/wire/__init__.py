"""Domain ⇄ protobuf and JSON. No decisions."""
