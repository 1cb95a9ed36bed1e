"""Webhooks to merchants: endpoints, events, deliveries and their attempts."""

from alembic import op

revision = "notifier_0003"
down_revision = "notifier_0002"
branch_labels = None
depends_on = None

ENDPOINTS = """
create table webhook_endpoints (
    id uuid primary key,
    merchant_id text not null,
    url text not null check (length(url) between 1 and 2048),
    description text not null default '' check (length(description) <= 200),
    -- Patterns; none stands for all events.
    events text[] not null default '{}',
    -- Both sealed, JSON: what is sent along, and the secrets with their ends.
    headers text not null default '',
    secrets text not null check (secrets <> ''),
    status text not null check (status in ('ENABLED', 'DISABLED', 'DELETED')),
    disabled_reason text check (disabled_reason in ('merchant', 'gone', 'failing')),
    failing_since timestamptz,
    -- When the first of its pending deliveries is due.
    due_at timestamptz,
    created_by text not null,
    created_at timestamptz not null,
    check ((status = 'DISABLED') = (disabled_reason is not null))
);
create index webhook_endpoints_of_merchant on webhook_endpoints (merchant_id, id);
create index webhook_endpoints_due on webhook_endpoints (due_at) where status = 'ENABLED' and due_at is not null;
"""

EVENTS = """
create table webhook_events (
    id uuid primary key,
    merchant_id text not null,
    type text not null,
    object_id text not null,
    seq bigint not null,
    at timestamptz not null,
    body bytea not null check (octet_length(body) between 1 and 65536)
);
create index webhook_events_of_merchant on webhook_events (merchant_id, id);
"""

DELIVERIES = """
create table webhook_deliveries (
    id uuid primary key,
    endpoint_id uuid not null references webhook_endpoints,
    event_id uuid not null references webhook_events,
    merchant_id text not null,
    type text not null,
    object_id text not null,
    seq bigint not null,
    status text not null check (status in ('PENDING', 'SUCCESS', 'FAILED', 'CANCELLED')),
    attempts integer not null default 0 check (attempts >= 0),
    trigger text not null check (trigger in ('AUTO', 'MANUAL')),
    next_retry_at timestamptz,
    created_at timestamptz not null,
    finished_at timestamptz,
    unique (endpoint_id, event_id),
    check ((status = 'PENDING') = (next_retry_at is not null)),
    check ((status = 'PENDING') = (finished_at is null))
) with (fillfactor = 75);
create index webhook_deliveries_due on webhook_deliveries (endpoint_id, next_retry_at) where status = 'PENDING';
create index webhook_deliveries_in_order on webhook_deliveries (endpoint_id, object_id, seq, id)
    where status = 'PENDING';
create index webhook_deliveries_of_merchant on webhook_deliveries (merchant_id, id);
create index webhook_deliveries_of_event on webhook_deliveries (event_id);
"""

ATTEMPTS = """
create table webhook_attempts (
    id uuid primary key,
    delivery_id uuid not null references webhook_deliveries on delete cascade,
    number integer not null check (number >= 1),
    at timestamptz not null,
    trigger text not null check (trigger in ('AUTO', 'MANUAL')),
    -- 0 where nothing was answered.
    status_code integer not null check (status_code between 0 and 999),
    error text,
    ms integer not null check (ms >= 0),
    -- Sealed: what the merchant's server wrote, which may name a person.
    answer text not null default '',
    unique (delivery_id, number)
);
"""


def upgrade() -> None:
    for statements in (ENDPOINTS, EVENTS, DELIVERIES, ATTEMPTS):
        op.execute(statements)
