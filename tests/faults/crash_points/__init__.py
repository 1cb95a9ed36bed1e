"""Crash points, exhaustively: each use case, killed after every effect that leaves the process, one after the other."""
