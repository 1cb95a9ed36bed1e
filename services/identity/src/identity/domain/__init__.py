"""What identity decides, without any I/O: who users are, what a session may do, when a login must wait."""
