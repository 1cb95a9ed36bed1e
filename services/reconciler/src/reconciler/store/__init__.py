"""The tables of reconciliation and billing analytics; the only SQL."""

from reconciler.store.billing import add_billing, billing_count, billing_days, webhook_failures
from reconciler.store.deliveries import (
    claimed_now,
    cursor,
    forget_claimed,
    move_cursor,
    note_missing,
    put_off,
    unclaimed,
    unclaimed_counts,
)
from reconciler.store.runs import (
    abandon_stale,
    begin_run,
    cases,
    differences,
    finish_run,
    keep_differences,
    open_cases,
    open_count,
    resolve_cases,
    runs,
)

__all__ = [
    "abandon_stale",
    "add_billing",
    "begin_run",
    "billing_count",
    "billing_days",
    "cases",
    "claimed_now",
    "cursor",
    "differences",
    "finish_run",
    "forget_claimed",
    "keep_differences",
    "move_cursor",
    "note_missing",
    "open_cases",
    "open_count",
    "put_off",
    "resolve_cases",
    "runs",
    "unclaimed",
    "unclaimed_counts",
    "webhook_failures",
]
