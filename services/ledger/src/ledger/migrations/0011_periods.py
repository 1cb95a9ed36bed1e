"""Closed periods, frozen accounts, manual journals, and whose money or credits a journal moves.

The statement that books entries refuses what would fall into a closed period or on a frozen account, from any session.
Closing and freezing lock the journals for a moment, so that nothing is booked past them.
"""

from alembic import op

from common.approvals import DDL as APPROVALS

revision = "ledger_0011"
down_revision = "ledger_0010"
branch_labels = None
depends_on = None

# An event of a closed period is accounted for when it is posted; its own date stays.
JOURNALS = """
alter table journals add column owner_id text not null default '';
alter table journals add column reason text not null default '';
alter table journals add column accounted_at timestamptz;
create index journals_effective on journals using brin (effective_at) with (pages_per_range = 32);
create index journals_accounted on journals (accounted_at) where accounted_at is not null;
"""

CONTROLS = """
create table closed_periods (
    merchant_id text not null,
    -- What is accounted for before it can no longer change.
    closed_until timestamptz not null,
    closed_at timestamptz not null,
    closed_by text not null check (closed_by <> ''),
    reason text not null check (reason <> ''),
    primary key (merchant_id, closed_until),
    check (closed_until <= closed_at)
);

-- The balances at the end of a closed period: derived, and final.
create table closing_balances (
    merchant_id text not null,
    closed_until timestamptz not null,
    account_id integer not null references accounts,
    debit bigint not null,
    credit bigint not null,
    primary key (merchant_id, closed_until, account_id),
    foreign key (merchant_id, closed_until) references closed_periods
);

create table account_freezes (
    freeze_id uuid primary key,
    merchant_id text not null,
    account_id integer not null references accounts,
    frozen_at timestamptz not null,
    frozen_by text not null check (frozen_by <> ''),
    reason text not null check (reason <> ''),
    unfrozen_at timestamptz,
    unfrozen_by text,
    unfreeze_reason text,
    check ((unfrozen_at is null) = (unfrozen_by is null) and (unfrozen_at is null) = (unfreeze_reason is null))
);
create unique index account_freezes_open on account_freezes (merchant_id, account_id) where unfrozen_at is null;

create table manual_batches (
    batch_id uuid primary key,
    merchant_id text not null,
    key text not null,
    content jsonb not null,
    proposed_by text not null,
    reason text not null,
    proposed_at timestamptz not null,
    unique (merchant_id, key)
);
"""

CHECK_JOURNALS = """
create or replace function check_journals() returns trigger
language plpgsql
set search_path from current
as $$
declare
    broken uuid;
    in_closed_period boolean;
begin
    -- Grouped before it is joined: several times cheaper than the other way round.
    select entry.journal_id, is_closed into broken, in_closed_period
    from (
        select journal_id, count(*) as entries, max(line) as last_line, sum(debit - credit) as difference,
               count(asset) as known_accounts, min(asset) as asset, max(asset) as other_asset
        from entered left join accounts using (account_id)
        group by journal_id
    ) entry
    left join journals journal using (journal_id)
    cross join lateral (select exists (
        select from closed_periods where merchant_id = journal.merchant_id
            and closed_until > coalesce(journal.accounted_at, journal.effective_at)
    ) as is_closed) period
    where difference <> 0
        or entries is distinct from journal.lines
        or last_line <> entries
        or known_accounts <> entries
        or entry.asset <> journal.asset or other_asset <> journal.asset
        or is_closed
    limit 1;
    if in_closed_period then
        raise exception 'journal % falls into a closed period', broken
            using errcode = 'check_violation', constraint = 'period_is_open';
    end if;
    if broken is not null then
        raise exception 'journal % is not whole, not of one asset, or not zero', broken
            using errcode = 'check_violation';
    end if;
    if exists (select from account_freezes where unfrozen_at is null) then
        select journal_id into broken
        from entered join journals using (journal_id)
        join account_freezes frozen using (merchant_id, account_id)
        where frozen.unfrozen_at is null limit 1;
        if broken is not null then
            raise exception 'journal % has an entry on a frozen account', broken
                using errcode = 'check_violation', constraint = 'account_is_not_frozen';
        end if;
    end if;
    return null;
end
$$;
"""

# Waits for those who post, and makes the others wait until the transaction ends; the service's role may not lock.
LOCK = """
create function lock_journals() returns void
language sql security definer
set search_path from current
as $$ lock table journals in share row exclusive mode $$;

revoke execute on function lock_journals from public;
grant execute on function lock_journals to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    for statements in (JOURNALS, CONTROLS, APPROVALS, CHECK_JOURNALS, LOCK.replace("{schema}", schema)):
        op.execute(statements)
    for table in ("closed_periods", "closing_balances", "manual_batches"):
        op.execute(f"select make_append_only('{table}')")
