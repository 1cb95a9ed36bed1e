"""Rules as data, counters, history of addresses and devices, lists, and the decisions that were not ALLOW."""

from alembic import op

revision = "fraud_0001"
down_revision = None
branch_labels = None
depends_on = None

RULES = """
create table rules (
    name text primary key,
    dimension text not null check (dimension in ('USER', 'IP', 'DEVICE', 'USER_AMOUNT')),
    metric text not null check (metric in ('CREATED', 'FAILED', 'SUCCEEDED', 'ABANDONED', 'AMOUNT', 'NEW_SOURCE')),
    window_seconds integer not null check (window_seconds between 60 and 86400),
    -- The rule fires above it. AMOUNT is in minor units.
    threshold bigint not null check (threshold >= 0),
    score integer not null check (score between 0 and 1000),
    action text not null check (action in ('SCORE', 'REVIEW', 'BLOCK')),
    mode text not null default 'ACTIVE' check (mode in ('ACTIVE', 'SHADOW')),
    enabled boolean not null default true,
    description text not null default '',
    updated_at timestamptz not null default now(),
    check (metric <> 'NEW_SOURCE' or dimension in ('IP', 'DEVICE'))
);

-- One address may be an office, a campus, a mobile carrier: what is counted by address or device only watches (SHADOW)
-- until somebody has looked at the figures of the deployment at hand.
insert into rules (name, dimension, metric, window_seconds, threshold, score, action, mode, description) values
    ('user_creates_1m', 'USER', 'CREATED', 60, 10, 500, 'REVIEW', 'ACTIVE', 'more than 10 payments in a minute'),
    ('user_creates_1m_flood', 'USER', 'CREATED', 60, 30, 1000, 'BLOCK', 'ACTIVE', 'more than 30 payments in a minute'),
    ('user_failures_10m', 'USER', 'FAILED', 600, 4, 400, 'REVIEW', 'ACTIVE', '5 or more failures in 10 minutes'),
    ('user_creates_24h', 'USER', 'CREATED', 86400, 200, 200, 'REVIEW', 'SHADOW', 'more than 200 payments in a day'),
    ('user_amount_24h', 'USER', 'AMOUNT', 86400, 50000000, 300, 'REVIEW', 'SHADOW', 'more than ₹5,00,000 in a day'),
    ('user_abandons_1h', 'USER', 'ABANDONED', 3600, 20, 100, 'SCORE', 'SHADOW', 'more than 20 given up in an hour'),
    ('duplicate_payment', 'USER_AMOUNT', 'CREATED', 60, 1, 100, 'REVIEW', 'SHADOW', 'one amount twice in a minute'),
    ('ip_creates_1m', 'IP', 'CREATED', 60, 300, 200, 'REVIEW', 'SHADOW', 'more than 300 payments from an address'),
    ('ip_failures_10m', 'IP', 'FAILED', 600, 50, 300, 'REVIEW', 'SHADOW', 'more than 50 failures from an address'),
    ('ip_new_for_user', 'IP', 'NEW_SOURCE', 60, 0, 50, 'SCORE', 'SHADOW', 'an address that is new to this user'),
    ('device_creates_1m', 'DEVICE', 'CREATED', 60, 30, 300, 'REVIEW', 'SHADOW', 'more than 30 payments from a device'),
    ('device_failures_10m', 'DEVICE', 'FAILED', 600, 10, 300, 'REVIEW', 'SHADOW', 'over 10 failures from a device'),
    ('device_new_for_user', 'DEVICE', 'NEW_SOURCE', 60, 0, 100, 'SCORE', 'SHADOW', 'a device new to this user');
"""

# Counters of a minute. Narrow rows with room on the page, because the same row is counted up many times; a day is a
# partition, so that old counters leave by DROP.
VELOCITY = """
create table velocity_buckets (
    key uuid not null,
    -- Minutes since 1970, UTC.
    minute integer not null,
    created integer not null default 0 check (created >= 0),
    failed integer not null default 0 check (failed >= 0),
    succeeded integer not null default 0 check (succeeded >= 0),
    abandoned integer not null default 0 check (abandoned >= 0),
    amount_minor bigint not null default 0 check (amount_minor >= 0),
    primary key (key, minute)
) partition by range (minute);

create table velocity_buckets_default partition of velocity_buckets default;

create function keep_velocity_partitions() returns integer
language plpgsql security definer
set search_path from current
set lock_timeout = '1s'
as $$
declare
    today integer := floor(extract(epoch from now()) / 86400);
    day integer;
    partition text;
    dropped integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.velocity', 0));
    for day in select generate_series(today - 1, today + 2) loop
        partition := 'velocity_buckets_' || day;
        continue when to_regclass(partition) is not null;
        -- What waits in the default partition would keep the new one from being attached.
        lock table velocity_buckets_default in access exclusive mode;
        execute format('create table %I (like velocity_buckets including all) with (fillfactor = 70,'
            ' autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000)', partition);
        execute format('with moved as (delete from velocity_buckets_default where minute >= %s and minute < %s'
            ' returning *) insert into %I select * from moved', day * 1440, (day + 1) * 1440, partition);
        execute format('alter table velocity_buckets attach partition %I for values from (%s) to (%s)',
            partition, day * 1440, (day + 1) * 1440);
    end loop;
    for partition in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass('velocity_buckets') and c.relname ~ '_[0-9]+$'
          and cast(substring(c.relname from '[0-9]+$') as integer) < today - 1
    loop
        begin
            execute format('drop table %I', partition);
            dropped := dropped + 1;
        exception when lock_not_available then
            null;
        end;
    end loop;
    return dropped;
end
$$;
revoke execute on function keep_velocity_partitions from public;
select keep_velocity_partitions();
"""

SOURCES = """
create table user_sources (
    user_key uuid not null,
    dimension text not null check (dimension in ('IP', 'DEVICE')),
    source_key uuid not null,
    first_seen timestamptz not null,
    -- Exact to the hour.
    last_seen timestamptz not null check (last_seen >= first_seen),
    primary key (user_key, dimension, source_key)
) with (fillfactor = 85);
"""

LISTS = """
create function subject_key(dimension text, merchant_id text, value text) returns uuid
language sql immutable strict parallel safe
return cast(encode(substring(sha256(convert_to(dimension || '|' || merchant_id || '|' || value, 'UTF8')) for 16), 'hex')
    as uuid);

comment on function subject_key is 'The key that a user id, an address or a device is counted and listed under.';

create table subject_lists (
    key uuid generated always as (subject_key(dimension, merchant_id, value)) stored primary key,
    verdict text not null check (verdict in ('BLOCK', 'ALLOW')),
    dimension text not null check (dimension in ('USER', 'IP', 'DEVICE')),
    merchant_id text not null,
    value text not null check (value <> ''),
    reason text not null,
    actor text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz
);
"""

EVENTS = """
create table fraud_events (
    id uuid primary key,
    merchant_id text not null,
    payment_id uuid not null unique,
    user_id text not null,
    ip text not null,
    device_id text not null,
    amount_minor bigint not null,
    currency text not null,
    score integer not null check (score between 0 and 1000),
    decision text not null check (decision in ('REVIEW', 'BLOCK')),
    reasons text[] not null check (cardinality(reasons) > 0),
    shadow_reasons text[] not null,
    -- Rule → what it saw.
    measured jsonb not null,
    created_at timestamptz not null
);
create index fraud_events_by_user on fraud_events (user_id);
create index fraud_events_by_ip on fraud_events (ip);
create index fraud_events_by_device on fraud_events (device_id) where device_id <> '';
select make_append_only('fraud_events');
"""

# The service's role has the schema's name.
RIGHTS = "grant execute on function keep_velocity_partitions, subject_key to {schema}"


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    for statements in (RULES, VELOCITY, SOURCES, LISTS, EVENTS, RIGHTS.format(schema=schema)):
        op.execute(statements)
