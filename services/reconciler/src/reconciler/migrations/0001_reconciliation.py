"""Runs, cases, and what delivery checks remember between runs."""

from alembic import op

revision = "reconciler_0001"
down_revision = None
branch_labels = None
depends_on = None

RUNS = """
create table reconciliation_runs (
    run_id uuid primary key,
    scope text not null check (scope in ('DELIVERIES', 'ALL')),
    status text not null check (status in ('RUNNING', 'SUCCEEDED', 'PARTIAL', 'FAILED')),
    actor text not null,
    started_at timestamptz not null,
    -- A run that has not finished by then is over: its process is gone.
    leased_until timestamptz not null,
    finished_at timestamptz,
    envelopes_checked integer not null default 0,
    envelopes_republished integer not null default 0,
    cases_opened integer not null default 0,
    cases_resolved integer not null default 0,
    totals jsonb not null default '{}',
    unasked text[] not null default '{}',
    check ((status = 'RUNNING') = (finished_at is null))
);

-- One at a time, in the whole fleet: an index rather than an advisory lock, which would need a session or an open
-- transaction for as long as other services are being asked.
create unique index reconciliation_runs_running on reconciliation_runs ((true)) where status = 'RUNNING';
create index reconciliation_runs_started on reconciliation_runs (started_at);
"""

CASES = """
create table reconciliation_cases (
    case_id uuid primary key,
    run_id uuid not null references reconciliation_runs,
    kind text not null,
    reference text not null,
    detail text not null,
    status text not null check (status in ('OPEN', 'RESOLVED')),
    opened_at timestamptz not null,
    seen_at timestamptz not null,
    resolved_at timestamptz,
    resolved_run_id uuid references reconciliation_runs,
    check ((status = 'RESOLVED') = (resolved_at is not null)),
    check ((status = 'RESOLVED') = (resolved_run_id is not null))
);

create unique index reconciliation_cases_open on reconciliation_cases (kind, reference) where status = 'OPEN';
"""

DELIVERIES = """
create table delivery_cursors (
    producer text primary key,
    -- Everything announced before has been looked at once.
    checked_until timestamptz not null
);

create table missing_deliveries (
    envelope_id uuid not null,
    queue text not null,
    producer text not null,
    found_at timestamptz not null,
    attempts integer not null default 0,
    next_at timestamptz not null,
    claimed_at timestamptz,
    primary key (envelope_id, queue)
);

create index missing_deliveries_open on missing_deliveries (next_at) where claimed_at is null;
"""

# Differences of the last comparison: one that stands still until the next is a mismatch.
DIFFERENCES = """
create table reconciliation_differences (
    kind text not null,
    reference text not null,
    left_value bigint not null,
    right_value bigint not null,
    since timestamptz not null,
    primary key (kind, reference),
    check (left_value <> right_value)
);
"""


def upgrade() -> None:
    for statements in (RUNS, CASES, DELIVERIES, DIFFERENCES):
        op.execute(statements)
