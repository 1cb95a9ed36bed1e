"""Blocks that seal what is booked: journals with their entries and audit records, hashed and chained.

A row belongs to one block by its epoch and its transaction. The epoch is one for each database cluster that the book
has lived in, because another cluster gives the same transaction ids again. It stands in a column default, so that
posting neither knows nor pays for it.
"""

from alembic import op

revision = "ledger_0010"
down_revision = "ledger_0009"
branch_labels = None
depends_on = None

# Constant defaults: no row is written anew.
COLUMNS = """
alter table journals add column epoch smallint not null default 1;
alter table audit_logs add column epoch smallint not null default 1;
create index audit_logs_xid on audit_logs (xid);
"""

BLOCKS = """
create table ledger_epochs (
    epoch smallint primary key check (epoch >= 1),
    -- The cluster's system identifier.
    cluster text not null check (cluster <> ''),
    began_at timestamptz not null default now()
);

create table ledger_blocks (
    height bigint primary key check (height >= 1),
    epoch smallint not null references ledger_epochs,
    previous bytea not null check (octet_length(previous) = 32),
    head bytea not null unique check (octet_length(head) = 32),
    -- What was booked by the transactions of this range, the second bound left out.
    xid_from xid8 not null,
    xid_to xid8 not null,
    journals integer not null check (journals >= 0),
    entries integer not null check (entries >= 0),
    audit_entries integer not null check (audit_entries >= 0),
    -- A leaf for each row: its id, the digest of its content, and of a journal's entries what tells them apart.
    journal_leaves bytea not null,
    audit_leaves bytea not null check (octet_length(audit_leaves) = 48 * audit_entries),
    sealed_at timestamptz not null,
    signature bytea not null check (octet_length(signature) = 64),
    key_id text not null,
    check (xid_from < xid_to)
);
-- Digests do not compress.
alter table ledger_blocks alter column journal_leaves set storage external;
alter table ledger_blocks alter column audit_leaves set storage external;

-- Blocks whose head was written outside the database.
create table anchored_blocks (
    height bigint primary key references ledger_blocks,
    anchored_at timestamptz not null default now()
);
"""

FUNCTIONS = """
-- The cluster's own id. A managed server that hides it gives the database's: a restore into another database of the
-- same cluster then begins an epoch too, which is harmless.
create function cluster_identifier() returns text
language plpgsql stable security definer
set search_path from current
as $$
begin
    return (select cast(system_identifier as text) from pg_control_system());
exception when insufficient_privilege or undefined_function or feature_not_supported then
    return (select 'database-' || oid from pg_database where datname = current_database());
end
$$;

-- The epoch of what is booked from now on. A new one begins when the cluster is another than that of the last, or when
-- transaction ids are behind what was sealed, as they are after a logical restore into a cluster of the same id.
create function begin_epoch() returns smallint
language plpgsql security definer
set search_path from current
as $$
declare
    last record;
    following smallint;
begin
    select * into last from ledger_epochs order by epoch desc limit 1;
    if last.cluster = cluster_identifier() and not exists (
        select from ledger_blocks
        where epoch = last.epoch and xid_to > pg_snapshot_xmax(pg_current_snapshot())
            and xid_to <> '18446744073709551615'
    ) then
        return last.epoch;
    end if;
    -- Nobody posts while the default changes: what is booked before belongs to the last epoch, all else to the new one.
    lock table audit_logs, journals in access exclusive mode;
    if last.epoch is distinct from (select max(epoch) from ledger_epochs) then
        return (select max(epoch) from ledger_epochs);
    end if;
    following := coalesce(last.epoch, 0) + 1;
    insert into ledger_epochs (epoch, cluster) values (following, cluster_identifier());
    if following > 1 then
        execute format('alter table audit_logs alter column epoch set default %s', following);
        execute format('alter table journals alter column epoch set default %s', following);
    end if;
    return following;
end
$$;

revoke execute on function cluster_identifier, begin_epoch from public;
grant execute on function begin_epoch to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    op.execute(COLUMNS)
    op.execute(BLOCKS)
    op.execute(FUNCTIONS.replace("{schema}", schema))
    for table in ("ledger_epochs", "ledger_blocks", "anchored_blocks"):
        op.execute(f"select make_append_only('{table}')")
