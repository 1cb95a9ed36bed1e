"""Money that the gateway took and that is no success (yet); what people decide about it; what fraud says of it."""

from alembic import op

revision = "payment_0005"
down_revision = "payment_0004"
branch_labels = None
depends_on = None

# Unique by the gateway's own payment id: money is received once, however often it is reported.
RECEIPTS = """
create table receipts (
    id uuid primary key,
    payment_id uuid not null references payments,
    merchant_id text not null,
    gateway text not null,
    gateway_payment_id text not null check (gateway_payment_id <> ''),
    reason text not null check (reason in ('DUPLICATE', 'AMOUNT_MISMATCH', 'LATE_SUCCESS', 'FLAGGED')),
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    applied_minor bigint not null default 0 check (applied_minor >= 0),
    refunded_minor bigint not null default 0 check (refunded_minor >= 0),
    gateway_refund_id text not null default '',
    payment_method text not null default '',
    payment_group text not null default '',
    bank_reference text not null default '',
    received_at timestamptz not null,
    -- When it went to the books; null only for what this migration found.
    announced_at timestamptz,
    unique (gateway, gateway_payment_id),
    check (applied_minor + refunded_minor <= amount_minor),
    check ((refunded_minor > 0) = (gateway_refund_id <> ''))
);
create index receipts_payment on receipts (payment_id);
create index receipts_open on receipts (merchant_id, payment_id)
    where applied_minor + refunded_minor < amount_minor;
create index receipts_unannounced on receipts (id) where announced_at is null;
-- One refund of the gateway gives one receipt back.
create unique index receipts_refunded_once on receipts (gateway, gateway_refund_id) where gateway_refund_id <> '';
-- One receipt buys a payment.
create unique index receipts_applied_once on receipts (payment_id) where applied_minor > 0;

-- Second captures that were recorded before are received too; a job announces them.
insert into receipts (id, payment_id, merchant_id, gateway, gateway_payment_id, reason, amount_minor, currency,
    bank_reference, received_at)
select id, payment_id, merchant_id, gateway, provider_transaction_id, 'DUPLICATE', amount_minor, currency,
       bank_reference, created_at
from transactions where status = 'DUPLICATE';
"""

# A decision is about what was seen, and only one can be about that.
DECISIONS = """
create table review_decisions (
    id uuid primary key,
    payment_id uuid not null references payments,
    merchant_id text not null,
    version text not null,
    action text not null check (action in ('FULFIL', 'REFUNDED', 'DISMISS')),
    reason text not null check (length(reason) between 3 and 500),
    actor_id text not null check (actor_id <> ''),
    receipt_id uuid references receipts,
    gateway_refund_id text not null default '',
    at timestamptz not null,
    unique (payment_id, version),
    check ((action = 'REFUNDED') = (gateway_refund_id <> '')),
    check (action = 'DISMISS' or receipt_id is not null)
);
select make_append_only('review_decisions');
"""

# What fraud says is kept while the payment is quarantined, and what a person dismissed does not come back for the same
# reason.
REVIEWS = """
alter table payments add column fraud_review text not null default 'NONE'
    check (fraud_review in ('NONE', 'FLAGGED', 'ALLOWED', 'BLOCKED'));
update payments set fraud_review = review where review in ('FLAGGED', 'ALLOWED', 'BLOCKED');
alter table payments drop constraint payments_review_check;
alter table payments add constraint payments_review_check
    check (review in ('NONE', 'FLAGGED', 'ALLOWED', 'BLOCKED', 'QUARANTINED', 'DISMISSED'));
alter table payments add constraint payments_review_follows_fraud
    check (review in (fraud_review, 'QUARANTINED', 'DISMISSED'));
create index payments_to_review on payments (merchant_id, id) where review in ('QUARANTINED', 'FLAGGED');
"""


# Attempts that failed before are history: fraud looks back for a day.
ATTEMPTS = """
alter table payment_attempts add column failure_announced_at timestamptz;
update payment_attempts set failure_announced_at = updated_at where status = 'FAILED';
"""


def upgrade() -> None:
    for statements in (RECEIPTS, DECISIONS, REVIEWS, ATTEMPTS):
        op.execute(statements)
