"""Payments with their history, attempts, transactions, refunds and invoices."""

from alembic import op

revision = "payment_0001"
down_revision = None
branch_labels = None
depends_on = None

# One row for each purchase. It is updated two or three times in its first minutes, so pages keep room for that.
PAYMENTS = """
create table payments (
    id uuid primary key,
    merchant_id text not null,
    user_id text not null,
    order_id text not null check (order_id ~ '^[A-Za-z0-9_-]{3,45}$'),
    reference_id text not null,
    gateway text not null,
    gateway_order_id text not null default '',
    gateway_payment_id text not null default '',
    payment_session_id text not null default '',
    status text not null check (status in ('CREATED', 'PENDING', 'AUTHORIZING', 'PROCESSING', 'SUCCESS', 'FAILED',
        'EXPIRED', 'CANCELLED', 'SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')),
    seq integer not null check (seq >= 1),
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    net_minor bigint not null check (net_minor >= 0),
    cgst_minor bigint not null check (cgst_minor >= 0),
    sgst_minor bigint not null check (sgst_minor >= 0),
    igst_minor bigint not null check (igst_minor >= 0),
    gst_minor bigint not null generated always as (cgst_minor + sgst_minor + igst_minor) stored,
    platform_fee_minor bigint not null check (platform_fee_minor >= 0),
    credits_paid bigint not null check (credits_paid >= 0),
    credits_bonus bigint not null check (credits_bonus >= 0),
    credits_granted bigint not null
        generated always as (case when gateway_payment_id = '' then 0 else credits_paid + credits_bonus end) stored,
    pack_id text not null default '',
    pack_version integer not null default 0,
    owner_kind text not null,
    owner_id text not null,
    place_of_supply text not null,
    customer_email text not null default '',
    customer_phone text not null default '',
    customer_name text not null default '',
    description text not null default '',
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    provider_id text not null default '',
    service_type text not null default '',
    method_hint text not null default '',
    return_url text not null default '',
    idempotency_key text not null default '',
    actor_id text not null default '',
    ip text not null default '',
    device_id text not null default '',
    user_agent text not null default '',
    request_id text not null default '',
    trace_id text not null default '',
    fraud_score integer,
    review text not null default 'NONE' check (review in ('NONE', 'FLAGGED', 'ALLOWED', 'BLOCKED', 'QUARANTINED')),
    review_reason text not null default '',
    payment_method text not null default '',
    payment_group text not null default '',
    failure_reason text not null default '',
    cancel_requested boolean not null default false,
    webhook_verified boolean not null default false,
    settlement_status text not null default 'NONE'
        check (settlement_status in ('NONE', 'PENDING', 'SETTLED', 'REVERSED')),
    settlement_amount_minor bigint check (settlement_amount_minor >= 0),
    is_reconciled boolean not null default false,
    refunded boolean not null default false,
    refund_status text not null default 'NOT_REQUESTED'
        check (refund_status in ('NOT_REQUESTED', 'REQUESTED', 'COMPLETED')),
    refund_amount_minor bigint not null default 0 check (refund_amount_minor between 0 and amount_minor),
    retry_count integer not null default 0 check (retry_count >= 0),
    next_check_at timestamptz,
    created_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > created_at),
    paid_at timestamptz,
    updated_at timestamptz not null,
    check (net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor),
    check (igst_minor = 0 or cgst_minor + sgst_minor = 0),
    check (platform_fee_minor <= amount_minor),
    -- What was paid says by which payment of the gateway, and when.
    check (status not in ('SUCCESS', 'SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')
           or (gateway_payment_id <> '' and paid_at is not null)),
    -- Ours or the caller's own: never used again.
    unique (merchant_id, order_id)
) with (fillfactor = 65, autovacuum_vacuum_scale_factor = 0.02);

-- The table of keys forgets after a day; a key of a payment counts for ever.
create unique index payments_idempotency_key on payments (merchant_id, user_id, idempotency_key)
    where idempotency_key <> '';
-- Ids are time-ordered, so this is also the order of creation.
create index payments_user on payments (merchant_id, user_id, id);
create index payments_created_at on payments (created_at);
-- The status is in no index, not even in a predicate: so the move to PENDING touches none of them (HOT).
-- What is open is found by its next check.
create index payments_due on payments (next_check_at) where next_check_at is not null;
"""

# The same table of moves as payment.domain.states; a test compares them.
HISTORY = """
create table payment_history (
    payment_id uuid not null references payments,
    seq integer not null check (seq >= 1),
    from_status text,
    to_status text not null,
    reason text not null,
    actor text not null,
    at timestamptz not null,
    primary key (payment_id, seq),
    check ((seq = 1) = (from_status is null)),
    constraint payment_history_moves check (case from_status
        when 'CREATED' then to_status in ('PENDING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
        when 'PENDING' then to_status in ('AUTHORIZING', 'PROCESSING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
        when 'AUTHORIZING' then to_status in ('PENDING', 'PROCESSING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
        when 'PROCESSING' then to_status in ('PENDING', 'SUCCESS', 'FAILED', 'EXPIRED')
        when 'FAILED' then to_status = 'SUCCESS'
        when 'EXPIRED' then to_status = 'SUCCESS'
        when 'CANCELLED' then to_status = 'SUCCESS'
        when 'SUCCESS' then to_status in ('SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')
        when 'SETTLED' then to_status in ('PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')
        when 'PARTIALLY_REFUNDED' then to_status in ('REFUNDED', 'DISPUTED', 'SUCCESS')
        when 'REFUNDED' then to_status in ('PARTIALLY_REFUNDED', 'SUCCESS')
        when 'DISPUTED' then to_status in ('SUCCESS', 'SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED')
        else from_status is null and to_status = 'CREATED' end)
);
select make_append_only('payment_history');
"""

ATTEMPTS = """
create table payment_attempts (
    id uuid primary key,
    payment_id uuid not null references payments,
    gateway text not null,
    gateway_payment_id text not null,
    status text not null
        check (status in ('STARTED', 'AUTHORIZING', 'PENDING', 'UNKNOWN', 'DROPPED', 'FAILED', 'SUCCESS')),
    -- The place of the status in that list: an attempt only climbs, whatever order its webhooks come in.
    rank smallint not null check (rank between 0 and 6),
    amount_minor bigint check (amount_minor >= 0),
    currency text check (currency ~ '^[A-Z]{3}$'),
    payment_method text not null default '',
    payment_group text not null default '',
    bank_reference text not null default '',
    reason text not null default '',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (gateway, gateway_payment_id)
) with (fillfactor = 90);
create index payment_attempts_payment on payment_attempts (payment_id);
"""

# Settlement and refund columns are filled by flows that come next.
TRANSACTIONS = """
create table transactions (
    id uuid primary key,
    payment_id uuid not null references payments,
    merchant_id text not null,
    gateway text not null,
    provider_transaction_id text not null,
    bank_reference text not null default '',
    gateway_response jsonb not null default '{}',
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    status text not null check (status in ('CAPTURED', 'DUPLICATE', 'REFUNDED')),
    settlement_amount_minor bigint check (settlement_amount_minor >= 0),
    settlement_date date,
    created_at timestamptz not null,
    unique (gateway, provider_transaction_id)
);
create index transactions_payment on transactions (payment_id);
-- A payment is captured once; whatever else is captured on it is a duplicate.
create unique index transactions_captured_once on transactions (payment_id) where status = 'CAPTURED';

create table refunds (
    id uuid primary key,
    payment_id uuid not null references payments,
    merchant_id text not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    reason text not null default '',
    status text not null check (status in ('INITIATED', 'PROCESSING', 'SUCCESS', 'FAILED', 'REVERSED')),
    provider_refund_id text not null default '',
    retry_count integer not null default 0 check (retry_count >= 0),
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index refunds_payment on refunds (payment_id);
"""

# The batch that hands out numbers locks the series' row, so a number is taken if and only if its invoice is there.
INVOICES = """
create table invoice_series (
    merchant_id text not null,
    series text not null,
    last_number bigint not null default 0 check (last_number >= 0),
    primary key (merchant_id, series)
);

create table invoices (
    id uuid primary key,
    payment_id uuid not null unique references payments,
    merchant_id text not null,
    user_id text not null,
    series text not null,
    number bigint not null check (number >= 1),
    invoice_number text not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    net_minor bigint not null check (net_minor >= 0),
    cgst_minor bigint not null check (cgst_minor >= 0),
    sgst_minor bigint not null check (sgst_minor >= 0),
    igst_minor bigint not null check (igst_minor >= 0),
    place_of_supply text not null,
    issued_at timestamptz not null,
    unique (merchant_id, series, number),
    check (net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor)
);
select make_append_only('invoices');
"""

# '' matches any merchant, any service type.
FEE_RULES = """
create table fee_rules (
    merchant_id text not null default '',
    service_type text not null default '',
    basis_points integer not null check (basis_points between 0 and 10000),
    minimum_minor bigint not null default 0 check (minimum_minor >= 0),
    maximum_minor bigint check (maximum_minor >= minimum_minor),
    primary key (merchant_id, service_type)
);
insert into fee_rules (basis_points) values (500);
"""

# Evidence, not truth: written in the background, kept for some days, no bodies.
GATEWAY_CALLS = """
create table gateway_calls (
    id uuid primary key,
    operation text not null,
    order_id text not null,
    http_status integer not null,
    outcome text not null,
    ms real not null,
    at timestamptz not null
);
create index gateway_calls_order on gateway_calls (order_id);
"""


def upgrade() -> None:
    for statements in (PAYMENTS, HISTORY, ATTEMPTS, TRANSACTIONS, INVOICES, FEE_RULES, GATEWAY_CALLS):
        op.execute(statements)
