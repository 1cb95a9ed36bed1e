"""Merchants' own accounts at gateways; their secrets are sealed."""

from alembic import op

revision = "payment_0017"
down_revision = "payment_0016"
branch_labels = None
depends_on = None

# No URL: where a gateway's API is, its adapter knows. The webhook secret before verifies until its time is over.
GATEWAY_ACCOUNTS = """
create table gateway_accounts (
    id uuid primary key,
    merchant_id text not null,
    gateway text not null,
    mode text not null check (mode in ('live', 'test')),
    key_id text not null check (key_id <> ''),
    key_secret text not null check (key_secret like 's1.%'),
    webhook_secret text not null check (webhook_secret like 's1.%'),
    webhook_secret_before text not null default ''
        check (webhook_secret_before = '' or webhook_secret_before like 's1.%'),
    webhook_secret_before_until timestamptz,
    contact_phone text not null default '' check (contact_phone = '' or contact_phone like 's1.%'),
    methods text not null default '',
    priority integer not null check (priority between 0 and 1000),
    amount_min_minor bigint not null default 0 check (amount_min_minor >= 0),
    amount_max_minor bigint check (amount_max_minor >= amount_min_minor),
    status text not null check (status in ('ENABLED', 'DISABLED')),
    version integer not null check (version >= 1),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (merchant_id, gateway, key_id),
    check ((webhook_secret_before = '') = (webhook_secret_before_until is null))
);
"""


def upgrade() -> None:
    op.execute(GATEWAY_ACCOUNTS)
