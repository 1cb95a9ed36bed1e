"""What the gateways paid to the bank, row by row; how far each account is imported; what of a payment is settled."""

from alembic import op

revision = "payment_0011"
down_revision = "payment_0010"
branch_labels = None
depends_on = None

# Beside the status: a refunded payment settles as well.
PAYMENTS = """
alter table payments add column settlement_status text not null default 'NONE'
    check (settlement_status in ('NONE', 'SETTLED', 'ON_HOLD', 'REVERSED'));
-- For those who follow what changes.
create index payment_history_at on payment_history (at, payment_id);
"""

# Unique by the gateway's own id. What is booked is what the events said so far, summed: never more, never twice.
SETTLEMENTS = """
create table settlements (
    id uuid primary key,
    gateway text not null,
    gateway_account_id text not null,
    merchant_id text not null,
    gateway_settlement_id text not null check (gateway_settlement_id <> ''),
    utr text not null default '',
    status text not null check (status in ('PENDING', 'SETTLED', 'ON_HOLD', 'REVERSED')),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    gross_minor bigint not null,
    fee_minor bigint not null,
    fee_tax_minor bigint not null,
    adjustment_minor bigint not null,
    net_minor bigint not null,
    booked_gross_minor bigint not null default 0,
    booked_fee_minor bigint not null default 0,
    booked_fee_tax_minor bigint not null default 0,
    booked_adjustment_minor bigint not null default 0,
    booked_net_minor bigint not null default 0,
    settled_at timestamptz,
    seq integer not null check (seq >= 1),
    -- Where reading its rows goes on; they are read anew after every change.
    rows_due boolean not null default true,
    rows_cursor text not null default '',
    -- Rows or the status changed since its payments were told.
    payments_due boolean not null default true,
    unreadable integer not null default 0 check (unreadable >= 0),
    imported_at timestamptz not null,
    updated_at timestamptz not null,
    unique (gateway_account_id, gateway_settlement_id),
    check (gross_minor = net_minor + fee_minor + fee_tax_minor + adjustment_minor),
    check (booked_gross_minor
           = booked_net_minor + booked_fee_minor + booked_fee_tax_minor + booked_adjustment_minor),
    check (settled_at >= timestamptz '2000-01-01 00:00:00+00' and settled_at < timestamptz '2100-01-01 00:00:00+00')
);
create index settlements_rows_due on settlements (gateway_account_id, id) where rows_due;
create index settlements_payments_due on settlements (gateway_account_id, id) where payments_due;
create index settlements_changed on settlements (updated_at, id);
create index settlements_of_merchant on settlements (merchant_id, id);
"""

# Kept for orders that are not ours, too. applied_status is the settlement's status that the payment has taken over.
ROWS = """
create table settlement_rows (
    id uuid primary key,
    settlement_id uuid not null references settlements,
    row_id text not null check (row_id <> ''),
    kind text not null check (kind in ('PAYMENT', 'REFUND', 'DISPUTE', 'ADJUSTMENT')),
    payment_id uuid references payments,
    order_id text not null default '',
    gateway_payment_id text not null default '',
    reference text not null default '',
    amount_minor bigint not null,
    fee_minor bigint not null,
    fee_tax_minor bigint not null,
    net_minor bigint not null,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    event_at timestamptz,
    utr text not null default '',
    applied_status text not null default ''
        check (applied_status in ('', 'PENDING', 'SETTLED', 'ON_HOLD', 'REVERSED')),
    imported_at timestamptz not null,
    unique (settlement_id, row_id),
    check (amount_minor = net_minor + fee_minor + fee_tax_minor),
    check (event_at >= timestamptz '2000-01-01 00:00:00+00' and event_at < timestamptz '2100-01-01 00:00:00+00')
);
create index settlement_rows_payment on settlement_rows (payment_id) where payment_id is not null;
create index settlement_rows_to_apply on settlement_rows (settlement_id, applied_status)
    where kind = 'PAYMENT' and payment_id is not null;

-- A row that the gateway shows otherwise than before: the first version stays, and a person has to look.
create table settlement_conflicts (
    settlement_id uuid not null references settlements,
    row_id text not null,
    shown text not null,
    seen_at timestamptz not null,
    primary key (settlement_id, row_id)
);
"""

# One row an account: the days that are being read, and the page that comes next.
IMPORTS = """
create table settlement_imports (
    gateway_account_id text primary key,
    window_first date not null,
    window_last date not null check (window_last >= window_first),
    cursor text not null default '',
    due_at timestamptz not null,
    leased_until timestamptz,
    completed_at timestamptz
);
"""


def upgrade() -> None:
    for statements in (PAYMENTS, SETTLEMENTS, ROWS, IMPORTS):
        op.execute(statements)
