"""Batches of payments: up to five hundred requests in one, each carried out by an intent of its own."""

from alembic import op

revision = "payment_0018"
down_revision = "payment_0017"
branch_labels = None
depends_on = None

BATCHES = """
create table payment_batches (
    id uuid primary key,
    merchant_id text not null,
    user_id text not null default '',
    created_at timestamptz not null
);
create table payment_batch_items (
    -- The id of the intent that carries it out.
    id uuid primary key,
    batch_id uuid not null references payment_batches,
    position integer not null check (position between 0 and 499),
    status text not null default 'PENDING' check (status in ('PENDING', 'CREATED', 'REFUSED')),
    payment_id text not null default '',
    error_code text not null default '',
    updated_at timestamptz not null,
    unique (batch_id, position),
    check ((status = 'CREATED') = (payment_id <> '')),
    check ((status = 'REFUSED') = (error_code <> ''))
);
"""


def upgrade() -> None:
    op.execute(BATCHES)
