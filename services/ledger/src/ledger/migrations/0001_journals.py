"""Chart of accounts, journals, entries and balance snapshots.

The book is append-only for everybody. That a journal is whole and comes to zero is checked by the database itself, in
the statement that inserts its entries.
"""

from alembic import op

revision = "ledger_0001"
down_revision = None
branch_labels = None
depends_on = None

ACCOUNTS = """
create table accounts (
    account_id integer primary key,
    code text not null unique,
    asset text not null check (asset in ('INR', 'CREDIT')),
    kind text not null check (kind in ('asset', 'liability', 'revenue', 'expense')),
    normal_side text not null
        check (normal_side = case when kind in ('asset', 'expense') then 'debit' else 'credit' end)
);

insert into accounts (account_id, code, asset, kind, normal_side) values
    (1000, 'asset:bank', 'INR', 'asset', 'debit'),
    (1100, 'asset:gateway:cashfree', 'INR', 'asset', 'debit'),
    (1101, 'asset:gateway:razorpay', 'INR', 'asset', 'debit'),
    (2000, 'liability:deferred_credits', 'INR', 'liability', 'credit'),
    (2100, 'liability:gst:cgst', 'INR', 'liability', 'credit'),
    (2101, 'liability:gst:sgst', 'INR', 'liability', 'credit'),
    (2102, 'liability:gst:igst', 'INR', 'liability', 'credit'),
    (2200, 'liability:community_payable', 'INR', 'liability', 'credit'),
    (2300, 'liability:sponsor_escrow', 'INR', 'liability', 'credit'),
    (4000, 'revenue:credits', 'INR', 'revenue', 'credit'),
    (4100, 'revenue:platform_fee', 'INR', 'revenue', 'credit'),
    (4200, 'revenue:breakage', 'INR', 'revenue', 'credit'),
    (5000, 'expense:gateway_fee', 'INR', 'expense', 'debit'),
    (5100, 'expense:rounding', 'INR', 'expense', 'debit'),
    (9000, 'issued', 'CREDIT', 'asset', 'debit'),
    (9100, 'wallets:paid', 'CREDIT', 'liability', 'credit'),
    (9101, 'wallets:bonus', 'CREDIT', 'liability', 'credit'),
    (9102, 'wallets:locked', 'CREDIT', 'liability', 'credit'),
    (9200, 'communities', 'CREDIT', 'liability', 'credit'),
    (9300, 'burned', 'CREDIT', 'revenue', 'credit'),
    (9301, 'expired', 'CREDIT', 'revenue', 'credit');
"""

# `lines` is how many entries the journal has: the trigger below holds it to that, so nothing can be added later.
# `xid` is the transaction that booked the row: what is below the oldest running transaction can no longer change,
# which is how snapshots (and seals) know where they may cut.
JOURNALS = """
create table journals (
    journal_id uuid primary key,
    merchant_id text not null,
    template text not null,
    asset text not null check (asset in ('INR', 'CREDIT')),
    cause_id uuid not null,
    reference_prefix text not null,
    reference uuid not null,
    -- The payment behind the reference, when it is not the reference itself.
    payment_id uuid,
    lines smallint not null check (lines >= 2),
    effective_at timestamptz not null,
    booked_at timestamptz not null default now(),
    reverses uuid,
    xid xid8 not null default pg_current_xact_id(),
    -- Posted once per cause.
    unique (cause_id, template),
    check (reverses <> journal_id)
);

create index journals_reference on journals (reference);
create index journals_payment on journals (payment_id) where payment_id is not null;
create index journals_xid on journals (xid);
-- Reversed at most once.
create unique index journals_reverses on journals (reverses) where reverses is not null;
"""

# No foreign keys: the trigger checks journals and accounts for the whole statement at once, which a foreign key would
# do row by row.
LEDGER_ENTRIES = """
create table ledger_entries (
    journal_id uuid not null,
    line smallint not null check (line >= 1),
    account_id integer not null,
    debit bigint not null,
    credit bigint not null,
    xid xid8 not null default pg_current_xact_id(),
    primary key (journal_id, line),
    check ((debit > 0 and credit = 0) or (debit = 0 and credit > 0))
);

create index ledger_entries_xid on ledger_entries (xid);
"""

CHECK_JOURNALS = """
create function check_journals() returns trigger
language plpgsql
set search_path from current
as $$
declare
    broken uuid;
begin
    -- Grouped before it is joined: several times cheaper than the other way round.
    select journal_id into broken
    from (
        select journal_id, count(*) as entries, max(line) as last_line, sum(debit - credit) as difference,
               count(asset) as known_accounts, min(asset) as asset, max(asset) as other_asset
        from entered left join accounts using (account_id)
        group by journal_id
    ) entry
    left join journals journal using (journal_id)
    where difference <> 0
        or entries is distinct from journal.lines
        or last_line <> entries
        or known_accounts <> entries
        or entry.asset <> journal.asset or other_asset <> journal.asset
    limit 1;
    if broken is not null then
        raise exception 'journal % is not whole, not of one asset, or not zero', broken
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;

create trigger journals_are_zero after insert on ledger_entries
referencing new table as entered for each statement execute function check_journals();
"""

# Sums of everything booked by transactions below `horizon`. Not part of the book: they are computed from it and may be
# dropped at any time.
SNAPSHOTS = """
create table balance_snapshots (
    horizon xid8 not null,
    merchant_id text not null,
    account_id integer not null references accounts,
    debit bigint not null,
    credit bigint not null,
    entries bigint not null,
    primary key (horizon, merchant_id, account_id)
);

create table journal_snapshots (
    horizon xid8 not null,
    merchant_id text not null,
    template text not null,
    journals bigint not null,
    primary key (horizon, merchant_id, template)
);
"""


def upgrade() -> None:
    for statements in (ACCOUNTS, JOURNALS, LEDGER_ENTRIES, CHECK_JOURNALS, SNAPSHOTS):
        op.execute(statements)
    for table in ("accounts", "journals", "ledger_entries"):
        op.execute(f"select make_append_only('{table}')")
