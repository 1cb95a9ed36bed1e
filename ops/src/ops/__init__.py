"""The operator's tool: the local stack and the command line."""
