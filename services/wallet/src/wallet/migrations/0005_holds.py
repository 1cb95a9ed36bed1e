"""Holds of credits whose money may go back, and what wallets owe when it went back for spent ones."""

from alembic import op

revision = "wallet_0005"
down_revision = "wallet_0004"
branch_labels = None
depends_on = None

# Checked in two steps, so that writers wait for the catalogue only and not for the look at every row.
TYPES = """
alter table wallet_transactions drop constraint wallet_transactions_type_check;
alter table wallet_transactions add constraint wallet_transactions_type_check
    check (type in ('GRANT', 'CONSUME', 'LOCK', 'RELEASE', 'REFUND', 'DEBT')) not valid;
alter table wallet_transactions validate constraint wallet_transactions_type_check;
"""

# What a transaction changed the locked credits and the debt by. With defaults: older code does not name them.
TRANSACTIONS = """
alter table wallet_transactions
    add column locked bigint not null default 0,
    add column debt bigint not null default 0;
alter table wallet_transactions add constraint only_holds_lock_credits
    check (locked = 0 or type in ('LOCK', 'RELEASE', 'REFUND')) not valid;
alter table wallet_transactions validate constraint only_holds_lock_credits;
alter table wallet_transactions add constraint locked_credits_leave_the_available_ones
    check (type not in ('LOCK', 'RELEASE') or locked = -credits) not valid;
alter table wallet_transactions validate constraint locked_credits_leave_the_available_ones;
alter table wallet_transactions add constraint only_refunds_and_settlements_change_a_debt
    check (debt = 0 or type = 'REFUND' and debt > 0 or type = 'DEBT' and debt < 0) not valid;
alter table wallet_transactions validate constraint only_refunds_and_settlements_change_a_debt;
"""

WALLETS = """
alter table wallets add column debt bigint not null default 0 check (debt >= 0);
"""

# What holds took out of a lot stands beside it, so that no hold can give back more, or twice.
CREDIT_LOTS = """
alter table credit_lots
    add column held bigint not null default 0 check (held >= 0),
    add column held_value_minor bigint not null default 0 check (held_value_minor >= 0),
    add column regrant_hold_id uuid;
alter table credit_lots add constraint held_credits_are_of_the_lot
    check (remaining + held <= granted) not valid;
alter table credit_lots validate constraint held_credits_are_of_the_lot;
alter table credit_lots add constraint held_value_is_of_the_lot
    check (value_left_minor + held_value_minor <= value_minor) not valid;
alter table credit_lots validate constraint held_value_is_of_the_lot;
alter table credit_lots add constraint nothing_held_carries_nothing
    check (held > 0 or held_value_minor = 0) not valid;
alter table credit_lots validate constraint nothing_held_carries_nothing;
"""

# Which lots a hold took from says its LOCK transaction.
HOLDS = """
create table holds (
    hold_id            uuid primary key,
    wallet_id          uuid not null references wallets,
    merchant_id        text collate "C" not null,
    operation_key      text collate "C" not null,
    payment_id         uuid not null,
    policy             text collate "C" not null check (policy in ('BLOCK', 'DEBT', 'ABSORB')),
    credits_paid       bigint not null check (credits_paid >= 0),
    credits_bonus      bigint not null check (credits_bonus >= 0),
    missing_paid       bigint not null check (missing_paid >= 0),
    missing_bonus      bigint not null check (missing_bonus >= 0),
    value_paid_minor   bigint not null check (value_paid_minor >= 0),
    value_bonus_minor  bigint not null check (value_bonus_minor >= 0),
    state              text collate "C" not null check (state in ('HELD', 'CONSUMED', 'RELEASED', 'REGRANTED')),
    transaction_id     uuid,
    created_at         timestamptz not null,
    changed_at         timestamptz not null,
    constraint a_hold_is_of_something check (credits_paid + credits_bonus + missing_paid + missing_bonus > 0),
    constraint blocked_holds_miss_nothing check (policy <> 'BLOCK' or missing_paid + missing_bonus = 0),
    constraint held_credits_are_locked_by_a_transaction
        check ((transaction_id is null) = (credits_paid + credits_bonus = 0)),
    unique (operation_key, merchant_id)
);
create index holds_of_payment on holds (payment_id);
create index holds_open on holds (wallet_id) where state = 'HELD';
"""

DEBTS = """
create table debts (
    hold_id        uuid primary key references holds,
    wallet_id      uuid not null references wallets,
    credits        bigint not null check (credits > 0),
    settled_paid   bigint not null default 0 check (settled_paid >= 0),
    settled_bonus  bigint not null default 0 check (settled_bonus >= 0),
    forgiven       bigint not null default 0 check (forgiven >= 0),
    created_at     timestamptz not null,
    is_open        boolean not null generated always as (settled_paid + settled_bonus + forgiven < credits) stored,
    constraint no_more_is_paid_than_owed check (settled_paid + settled_bonus + forgiven <= credits)
);
create index debts_open on debts (wallet_id, hold_id) where is_open;
"""


def upgrade() -> None:
    for statements in (TYPES, TRANSACTIONS, WALLETS, CREDIT_LOTS, HOLDS, DEBTS):
        op.execute(statements)
