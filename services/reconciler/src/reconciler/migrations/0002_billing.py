"""Billing analytics: events as they came, and counters by merchant and day."""

from alembic import op

revision = "reconciler_0002"
down_revision = "reconciler_0001"
branch_labels = None
depends_on = None

BILLING = """
create table billing_events (
    event_id uuid primary key,
    kind text not null check (kind in ('payment.created', 'payment.success', 'payment.failed', 'webhook.failure')),
    merchant_id text not null,
    payment_id text not null,
    amount_minor bigint not null check (amount_minor >= 0),
    currency text not null,
    gateway text not null,
    method text not null,
    pack_id text not null,
    reason text not null,
    duration_micros bigint not null check (duration_micros >= 0),
    occurred_at timestamptz not null,
    received_at timestamptz not null default now()
);

create index billing_events_occurred on billing_events using brin (occurred_at);

-- The day is the event's in UTC. Webhook failures have no merchant to believe and no currency: both are empty.
create table billing_daily (
    merchant_id text not null,
    day date not null,
    currency text not null,
    created bigint not null default 0,
    succeeded bigint not null default 0,
    failed bigint not null default 0,
    created_minor bigint not null default 0,
    succeeded_minor bigint not null default 0,
    failed_minor bigint not null default 0,
    duration_micros bigint not null default 0,
    webhook_failures bigint not null default 0,
    primary key (merchant_id, day, currency)
) with (fillfactor = 50);
"""


def upgrade() -> None:
    op.execute(BILLING)
    op.execute("select make_append_only('billing_events')")
