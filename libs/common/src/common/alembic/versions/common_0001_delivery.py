"""What delivery needs in every service's schema: outbox, inbox, intents, idempotency keys, dead letters.

The tables of a day are partitions by the time inside their UUIDv7 keys, so that old rows leave by DROP rather than by
DELETE and vacuum. A service's role can neither create nor drop a partition; it calls the SECURITY DEFINER functions
below. They pin the search path that `common.migrations` has set: the service's schema, then pg_temp.
"""

from alembic import op

revision = "common_0001"
down_revision = None
# `common.migrations` brings this branch up first: a service's own migrations use its functions.
branch_labels = ("common",)
depends_on = None

OUTBOX = """
create table outbox (
    envelope_id uuid not null,
    exchange text not null,
    routing_key text not null,
    mandatory boolean not null,
    type text not null,
    headers jsonb,
    -- An envelope carries up to 128 events: lz4 costs a tenth of the CPU that pglz would.
    body bytea compression lz4 not null,
    created_at timestamptz not null default now(),
    leased_until timestamptz,
    published_at timestamptz,
    primary key (envelope_id)
) partition by range (envelope_id);

-- What the sweeper looks for; nearly always empty.
create index outbox_unpublished on outbox (envelope_id) where published_at is null;

create table outbox_default partition of outbox default;
"""

INBOX = """
create table inbox (
    envelope_id uuid not null,
    consumer text not null,
    claimed_at timestamptz not null default now(),
    primary key (envelope_id, consumer)
) partition by range (envelope_id);

create table inbox_default partition of inbox default;
"""

# Updated in place a few times and then left: room on the page keeps those updates HOT where no indexed column moves
# (a lease, a stored answer), and vacuum goes by a count, not by a share of a table that grows.
INTENTS = """
create table intents (
    intent_id uuid primary key,
    kind text not null,
    payload bytea not null,
    attempts integer not null default 0 check (attempts >= 0),
    due_at timestamptz not null default now(),
    leased_until timestamptz,
    last_error text,
    done_at timestamptz,
    created_at timestamptz not null default now()
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

create index intents_due on intents (kind, due_at) where done_at is null;
"""

IDEMPOTENCY_KEYS = """
create table idempotency_keys (
    merchant_id text not null,
    user_id text not null,
    route text not null,
    key text not null,
    fingerprint bytea not null,
    subject uuid,
    state text not null check (state in ('STARTED', 'COMPLETED')),
    leased_until timestamptz,
    status smallint,
    response bytea,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    primary key (merchant_id, user_id, route, key),
    check (state = 'STARTED' or status is not null)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

create index idempotency_keys_expiry on idempotency_keys (expires_at);
"""

# source_id is the dead letter's own envelope: one that the broker delivers twice is kept once.
DEAD_LETTERS = """
create table dead_letters (
    dead_letter_id uuid primary key,
    source_id uuid not null unique,
    queue text not null,
    type text not null,
    event bytea not null,
    producer text not null,
    error_code text not null,
    error_class text not null,
    attempts integer not null,
    first_failed_at timestamptz not null,
    dead_at timestamptz not null,
    status text not null default 'OPEN' check (status in ('OPEN', 'REPLAYED', 'DISCARDED')),
    actor text,
    reason text,
    settled_at timestamptz,
    check ((status = 'OPEN') = (settled_at is null)),
    check (status = 'OPEN' or (actor is not null and reason is not null))
);

create index dead_letters_open on dead_letters (queue, dead_at) where status = 'OPEN';
"""

UUID_FLOOR = """
create function uuid_floor(moment timestamptz) returns uuid
language sql immutable parallel safe strict
set search_path from current
return cast(lpad(to_hex(cast(floor(extract(epoch from moment) * 1000) as bigint)), 12, '0') || repeat('0', 20) as uuid);

comment on function uuid_floor is 'Not greater than any UUIDv7 that was made at that moment or later.';
"""

# A partition is built apart and attached, which unlike CREATE TABLE … PARTITION OF lets writers of the parent go on.
# Attaching fails while the default partition holds rows of that day, so they are moved first; the default partition
# is locked before that, or a writer could add one in between. Nobody should be writing there at all; where they may be,
# because the day has begun, the parent is locked too: a writer already on its way to the default partition would fail.
CREATE_PARTITION = """
create function create_partition(parent text, day date) returns boolean
language plpgsql
set search_path from current
as $$
declare
    partition text := parent || '_' || to_char(day, 'YYYYMMDD');
    low uuid := uuid_floor(cast(day as timestamp) at time zone 'UTC');
    high uuid := uuid_floor(cast(day + 1 as timestamp) at time zone 'UTC');
begin
    if to_regclass(partition) is not null then
        return false;
    end if;
    if day <= cast(now() at time zone 'UTC' as date) then
        execute format('lock table only %I in share row exclusive mode', parent);
    end if;
    execute format('lock table %I in access exclusive mode', parent || '_default');
    execute format('create table %I (like %I including all)', partition, parent);
    -- Parameters are not inherited. Each outbox row dies once (it is marked published, and its entry in the partial
    -- index with it), so vacuum goes by a count. Rows leave with the whole partition: no vacuum for inserts alone.
    execute format(
        'alter table %I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,'
        ' autovacuum_vacuum_insert_threshold = -1)', partition);
    execute format(
        'with moved as (delete from %I where envelope_id >= %L and envelope_id < %L returning *)'
        ' insert into %I select * from moved', parent || '_default', low, high, partition);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, partition, low, high);
    return true;
end
$$;
"""

ENSURE_PARTITIONS = """
create function ensure_partitions() returns bigint
language plpgsql security definer
set search_path from current
as $$
declare
    today date := cast(now() at time zone 'UTC' as date);
    astray bigint;
begin
    -- One at a time: whoever comes second finds the partitions made.
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.partitions', 0));
    perform create_partition(parent, today + ahead)
    from unnest(array['inbox', 'outbox']) as parent, generate_series(-1, 3) as ahead;
    select (select count(*) from inbox_default) + (select count(*) from outbox_default) into astray;
    return astray;
end
$$;

comment on function ensure_partitions is
    'Makes the daily partitions from yesterday to three days ahead; returns how many rows lie in the default ones.';
"""

# Dropping needs the parent for itself: it waits for a second at most, since everybody else queues behind it, and
# leaves the partition to the next run when it does not get it.
DROP_PARTITIONS = """
create function drop_partitions(outbox_keep interval, inbox_keep interval)
returns table (name text, dropped boolean, reason text)
language plpgsql security definer
set search_path from current
set lock_timeout = '1s'
as $$
declare
    parent text;
    ends_at timestamptz;
    needed boolean;
begin
    if outbox_keep < interval '1 day' or inbox_keep < 2 * outbox_keep then
        raise exception 'the inbox must be kept at least twice as long as the outbox, and the outbox for a day'
            using errcode = 'invalid_parameter_value';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.partitions', 0));
    for parent, name in
        select p.relname, c.relname
        from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
        where i.inhparent in (to_regclass('inbox'), to_regclass('outbox')) and c.relname ~ '_[0-9]{8}$'
        order by c.relname
    loop
        ends_at := cast(to_date(right(name, 8), 'YYYYMMDD') + 1 as timestamp) at time zone 'UTC';
        continue when ends_at > now() - case parent when 'outbox' then outbox_keep else inbox_keep end;
        dropped := false;
        begin
            execute format('lock table %I in access exclusive mode', parent);
            if parent = 'outbox' then
                execute format('select exists (select from %I where published_at is null)', name) into needed;
                reason := 'it holds envelopes that are not published';
            else
                select exists (select from dead_letters where status = 'OPEN' and first_failed_at < ends_at)
                    into needed;
                reason := 'an open dead letter is as old';
            end if;
            if not needed then
                execute format('drop table %I', name);
                dropped := true;
                reason := null;
            end if;
        exception when lock_not_available then
            reason := 'the table is busy';
        end;
        return next;
    end loop;
end
$$;
"""

# The rights keep the service out, the triggers keep everybody out who comes through SQL, the owner included. Dropping
# a partition fires no trigger, so that retention still works.
APPEND_ONLY = """
create function refuse_change() returns trigger
language plpgsql
set search_path from current
as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;

create function make_append_only(name text) returns void
language plpgsql
set search_path from current
as $$
begin
    execute format('revoke update, delete, truncate on %I from %I', name, current_schema());
    execute format(
        'create trigger append_only before update or delete on %I for each row execute function refuse_change()', name);
    execute format(
        'create trigger append_only_whole before truncate on %I for each statement execute function refuse_change()',
        name);
end
$$;
"""

# The service's role has the schema's name.
RIGHTS = """
revoke execute on all functions in schema {schema} from public;
grant execute on function uuid_floor, ensure_partitions, drop_partitions to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    tables = (OUTBOX, INBOX, INTENTS, IDEMPOTENCY_KEYS, DEAD_LETTERS)
    functions = (UUID_FLOOR, CREATE_PARTITION, ENSURE_PARTITIONS, DROP_PARTITIONS, APPEND_ONLY)
    for statements in (*tables, *functions, RIGHTS.format(schema=schema)):
        op.execute(statements)
