"""Packs, wallets, credit lots, wallet transactions and their keys."""

from alembic import op

revision = "wallet_0001"
down_revision = None
branch_labels = None
depends_on = None

# Ids and keys compare byte by byte (collate "C"): that is what they are, and it is several times faster.
PACKS = """
create table packs (
    merchant_id    text collate "C" not null,
    pack_id        text collate "C" not null,
    version        integer not null check (version > 0),
    name           text not null,
    price_minor    bigint not null check (price_minor > 0),
    currency       text not null check (currency ~ '^[A-Z]{3}$'),
    credits_paid   bigint not null check (credits_paid > 0),
    credits_bonus  bigint not null default 0 check (credits_bonus >= 0),
    active_from    timestamptz not null default now(),
    active_to      timestamptz check (active_to > active_from),
    primary key (merchant_id, pack_id, version)
);
-- A pack has one open version at most.
create unique index packs_on_sale on packs (merchant_id, pack_id) where active_to is null;

insert into packs (merchant_id, pack_id, version, name, price_minor, currency, credits_paid, credits_bonus, active_from)
select 'mer_commdesk', pack_id, 1, name, price_minor, 'INR', credits_paid, credits_bonus, timestamptz '2026-01-01Z'
from (values ('pack_150', '1,500 credits', 15000, 1500, 0),
             ('pack_300', '3,000 credits + 200 bonus', 30000, 3000, 200),
             ('pack_500', '5,000 credits + 500 bonus', 50000, 5000, 500),
             ('pack_1000', '10,000 credits + 2,000 bonus', 100000, 10000, 2000))
     as seed (pack_id, name, price_minor, credits_paid, credits_bonus);
"""

# No index on anything that moves and room on the page: a changed balance is a HOT update, which touches no index.
WALLETS = """
create table wallets (
    wallet_id                uuid primary key,
    merchant_id              text collate "C" not null,
    owner_kind               text collate "C" not null check (owner_kind in ('USER', 'COMMUNITY', 'PLATFORM')),
    owner_id                 text collate "C" not null,
    currency                 text not null check (currency ~ '^[A-Z]{3}$'),
    available                bigint not null default 0 check (available >= 0),
    locked                   bigint not null default 0 check (locked >= 0),
    pending                  bigint not null default 0 check (pending >= 0),
    lifetime_purchased       bigint not null default 0 check (lifetime_purchased >= 0),
    seq                      bigint not null default 0 check (seq >= 0),
    auto_recharge_enabled    boolean not null default false,
    auto_recharge_threshold  bigint not null default 200 check (auto_recharge_threshold >= 0),
    created_at               timestamptz not null,
    updated_at               timestamptz not null,
    -- The most telling column first: one comparison per step down the tree.
    unique (owner_id, owner_kind, merchant_id)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
"""

# `is_open` and not `remaining` is what the index asks for, so that burning a part of a lot stays a HOT update too.
CREDIT_LOTS = """
create table credit_lots (
    lot_id            uuid primary key,
    wallet_id         uuid not null references wallets,
    kind              text collate "C" not null check (kind in ('BONUS', 'PAID')),
    payment_id        uuid,
    granted           bigint not null check (granted > 0),
    remaining         bigint not null check (remaining between 0 and granted),
    value_minor       bigint not null check (value_minor >= 0),
    value_left_minor  bigint not null check (value_left_minor between 0 and value_minor),
    priority          integer not null default 0,
    expires_at        timestamptz,
    created_at        timestamptz not null,
    is_open           boolean not null generated always as (remaining > 0) stored,
    constraint an_empty_lot_carries_nothing check (remaining > 0 or value_left_minor = 0),
    constraint a_full_lot_carries_all check (remaining < granted or value_left_minor = value_minor)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
create index credit_lots_in_burn_order on credit_lots (wallet_id, priority, expires_at, kind, lot_id) where is_open;
create index credit_lots_of_payment on credit_lots (payment_id) where payment_id is not null;
"""

# `burnt_*` say which lots paid, with how many credits of what worth (three arrays of one length). They are columns
# because a table of their own would cost a second row and a second index entry for each spend, and nothing ever
# asks for them without the transaction. The wallet is referenced under its own row lock and wallets are never
# deleted, so a foreign key would only cost a look-up per row.
WALLET_TRANSACTIONS = """
create table wallet_transactions (
    transaction_id  uuid primary key,
    wallet_id       uuid not null,
    seq             bigint not null check (seq > 0),
    merchant_id     text collate "C" not null,
    type            text collate "C" not null check (type in
        ('GRANT', 'CONSUME', 'LOCK', 'RELEASE', 'REFUND', 'BONUS', 'TRANSFER', 'EXPIRE', 'ADJUST')),
    credits         bigint not null,
    credits_paid    bigint not null,
    credits_bonus   bigint not null,
    value_minor     bigint not null check (value_minor >= 0),
    balance_before  bigint not null check (balance_before >= 0),
    balance_after   bigint not null check (balance_after >= 0),
    source          text not null,
    source_id       text not null,
    operation_key   text collate "C" not null,
    burnt_lots      uuid[],
    burnt_credits   bigint[],
    burnt_value     bigint[],
    metadata        jsonb,
    created_at      timestamptz not null,
    constraint wallet_transactions_seq unique (wallet_id, seq),
    constraint the_balance_moves_by_the_credits check (balance_after = balance_before + credits),
    constraint credits_are_paid_or_bonus check (credits = credits_paid + credits_bonus)
);
create index wallet_transactions_created_at on wallet_transactions using brin (created_at);
select make_append_only('wallet_transactions');
"""

# Apart and narrow, because callers choose the keys: their random order must not spread over the wide table's pages.
OPERATION_KEYS = """
create table operation_keys (
    operation_key   text collate "C" not null,
    merchant_id     text collate "C" not null,
    transaction_id  uuid not null,
    primary key (operation_key, merchant_id)
);
select make_append_only('operation_keys');
"""


def upgrade() -> None:
    for statement in (PACKS, WALLETS, CREDIT_LOTS, WALLET_TRANSACTIONS, OPERATION_KEYS):
        op.execute(statement)
