"""Orders as merchants make them, and which of a merchant's orders a payment belongs to."""

from alembic import op

revision = "payment_0014"
down_revision = "payment_0013"
branch_labels = None
depends_on = None

ORDERS = """
create table orders (
    id uuid primary key,
    merchant_id text not null check (merchant_id <> ''),
    -- '' when the merchant's own server made it.
    user_id text not null default '',
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    receipt text not null default '' check (length(receipt) <= 64),
    notes jsonb not null default '{}' check (jsonb_typeof(notes) = 'object'),
    status text not null default 'CREATED' check (status in ('CREATED', 'ATTEMPTED', 'PAID')),
    -- The one payment that paid it.
    payment_id uuid unique references payments,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((status = 'PAID') = (payment_id is not null))
);
create index orders_of_merchant on orders (merchant_id, id);
"""

# Null for a payment that names no order, which is every one until now: the column is added without a rewrite.
PAYMENTS = """
alter table payments add column parent_order_id uuid references orders;
create index payments_of_order on payments (parent_order_id) where parent_order_id is not null;
"""


def upgrade() -> None:
    op.execute(ORDERS)
    op.execute(PAYMENTS)
