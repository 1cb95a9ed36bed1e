"""Tables, commands and queries; the only SQL of the service."""
