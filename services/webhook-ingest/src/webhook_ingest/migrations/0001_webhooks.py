"""webhook_logs (raw webhooks and where they stand), webhook_keys (what was seen), webhook_history (append-only)."""

from alembic import op

revision = "webhook_ingest_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
create table webhook_logs (
    id uuid primary key,
    merchant_id text not null,
    gateway text not null,
    -- The gateway's own word; null when the body cannot be read.
    event_type text,
    event_version text not null,
    -- The delivery's number as the gateway counts it.
    attempt integer not null check (attempt >= 0),
    event_time timestamptz,
    order_id text,
    gateway_payment_id text,
    gateway_refund_id text,
    gateway_status text,
    payload bytea not null,
    headers jsonb not null,
    signature text not null,
    hash bytea not null check (octet_length(hash) = 32),
    processing_status text not null
        check (processing_status in ('RECEIVED', 'PROCESSING', 'PARKED', 'FAILED', 'DEAD', 'SUCCESS')),
    retry_count integer not null default 0 check (retry_count >= 0),
    failure_reason text,
    received_at timestamptz not null,
    processed_at timestamptz,
    check (event_type is not null or processing_status = 'PARKED')
) with (fillfactor = 50);

-- Each row is updated once or twice soon after it is written: the room that is left on its page, and that nothing
-- indexes the status, keep those updates off the indexes. Compressing bodies of a few kB costs more than their space.
alter table webhook_logs alter column payload set storage external;

create index webhook_logs_by_order on webhook_logs (order_id) where order_id is not null;
create index webhook_logs_by_gateway_payment on webhook_logs (gateway_payment_id) where gateway_payment_id is not null;

-- Narrow and kept for ever: the sha256 of the raw body, and the sha256 of (type, payment or refund id, status).
create table webhook_keys (
    gateway text not null,
    key bytea not null check (octet_length(key) = 32),
    webhook_id uuid not null,
    duplicates integer not null default 0,
    primary key (gateway, key)
);

create table webhook_history (
    -- The status event's own id: the same report is written once.
    id uuid primary key,
    webhook_id uuid not null references webhook_logs (id),
    status text not null check (status in ('PROCESSING', 'PARKED', 'FAILED', 'DEAD', 'SUCCESS')),
    outcome text not null,
    reason text not null,
    attempt integer not null,
    payment_id uuid,
    reported_at timestamptz not null,
    recorded_at timestamptz not null default now()
);
create index webhook_history_by_webhook on webhook_history (webhook_id);
create index webhook_history_by_payment on webhook_history (payment_id) where payment_id is not null;
select make_append_only('webhook_history');

-- The name that the billing documents use.
create view payment_webhooks as
select id as event_id, merchant_id, gateway, event_type, event_version, order_id, gateway_payment_id, gateway_refund_id,
       payload, headers, signature, encode(hash, 'hex') as hash, retry_count, processing_status, failure_reason,
       received_at, processed_at
from webhook_logs;
""")
