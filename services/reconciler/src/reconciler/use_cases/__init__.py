"""Run a reconciliation, list its runs and cases, store billing events and sum them up."""
