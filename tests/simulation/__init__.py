"""Deterministic simulation: the fleet's real delivery machinery and domains in one process, under a virtual clock.

A seed is a schedule: which task runs next, how long everything takes, what fails and when.
docs/operating/simulation.md tells how to run it.
"""
