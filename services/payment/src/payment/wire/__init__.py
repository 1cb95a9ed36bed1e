"""Domain ⇄ protobuf and JSON; no decisions."""
