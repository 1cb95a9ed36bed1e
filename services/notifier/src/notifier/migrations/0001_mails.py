"""Mails, addresses that must not be mailed, and the digests of alerts."""

from alembic import op

revision = "notifier_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
create table emails (
    id uuid primary key,
    -- The business key, for example payment-success:pay_…: one mail for each, for ever. Ids are made in the order of
    -- time, so keys of one kind arrive nearly sorted.
    key text collate "C" not null unique,
    template text not null,
    merchant_id text not null,
    payment_id uuid,
    order_id text not null,
    recipient text not null,
    status text not null check (status in ('QUEUED', 'SENT', 'FAILED', 'SUPPRESSED')),
    -- Why it was not sent, from the catalogue.
    reason text,
    attempts integer not null default 0 check (attempts >= 0),
    message_id text not null,
    -- The SMTP server's last reply code.
    provider_code integer,
    queued_at timestamptz not null,
    finished_at timestamptz,
    check ((status = 'QUEUED') = (finished_at is null)),
    check (status not in ('FAILED', 'SUPPRESSED') or reason is not null)
) with (fillfactor = 75);
create index emails_by_payment on emails (payment_id) where payment_id is not null;

create table suppressions (
    -- In lower case.
    address text collate "C" primary key check (address = lower(address)),
    reason text not null,
    actor text not null,
    created_at timestamptz not null default now()
);

create table alert_digests (
    cause text collate "C" primary key,
    -- The end of the open window; null when the next alert is to be mailed at once.
    closes_at timestamptz,
    pending integer not null default 0 check (pending >= 0),
    samples jsonb not null default '[]',
    mails integer not null default 0,
    total bigint not null default 0
);
create index alert_digests_open on alert_digests (closes_at) where closes_at is not null;
""")
