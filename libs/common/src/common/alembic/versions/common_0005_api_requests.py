"""The log of requests by API key: a partition for each day, kept for 30 of them."""

from alembic import op

revision = "common_0005"
down_revision = "common_0004"
branch_labels = None
depends_on = None

# path is the route's template. body_hash is of the body without its secrets and personal data.
API_REQUESTS = """
create table api_requests (
    request_log_id uuid not null,
    merchant_id text collate "C" not null,
    api_key_id text collate "C" not null,
    method text not null,
    path text not null,
    status smallint not null,
    duration_micros bigint not null check (duration_micros >= 0),
    request_id text not null,
    error_code text not null,
    body_hash bytea check (octet_length(body_hash) = 32),
    primary key (request_log_id)
) partition by range (request_log_id);

create index api_requests_of_merchant on api_requests (merchant_id, request_log_id desc);

create table api_requests_default partition of api_requests default;
"""

# As create_partition (common_0001), for a key of another name; its comments hold here too. The rows are never changed.
ENSURE = """
create function ensure_api_request_partitions() returns bigint
language plpgsql security definer
set search_path from current
as $$
declare
    today date := cast(now() at time zone 'UTC' as date);
    day date;
    partition text;
    low uuid;
    high uuid;
    astray bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.partitions', 0));
    foreach day in array array[today - 1, today, today + 1, today + 2, today + 3]
    loop
        partition := 'api_requests_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass(partition) is not null;
        low := uuid_floor(cast(day as timestamp) at time zone 'UTC');
        high := uuid_floor(cast(day + 1 as timestamp) at time zone 'UTC');
        if day <= today then
            lock table only api_requests in share row exclusive mode;
        end if;
        lock table api_requests_default in access exclusive mode;
        execute format('create table %I (like api_requests including all)', partition);
        execute format('alter table %I set (autovacuum_vacuum_insert_threshold = -1)', partition);
        execute format(
            'with moved as (delete from api_requests_default where request_log_id >= %L and request_log_id < %L'
            ' returning *) insert into %I select * from moved', low, high, partition);
        execute format(
            'alter table api_requests attach partition %I for values from (%L) to (%L)', partition, low, high);
    end loop;
    select count(*) from api_requests_default into astray;
    return astray;
end
$$;

comment on function ensure_api_request_partitions is
    'Makes the daily partitions from yesterday to three days ahead; returns how many rows lie in the default one.';
"""

DROP = """
create function drop_api_request_partitions(keep interval) returns bigint
language plpgsql security definer
set search_path from current
set lock_timeout = '1s'
as $$
declare
    name text;
    dropped bigint := 0;
begin
    if keep < interval '1 day' then
        raise exception 'the log of requests is kept for a day at least' using errcode = 'invalid_parameter_value';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.partitions', 0));
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass('api_requests') and c.relname ~ '_[0-9]{8}$' order by c.relname
    loop
        continue when cast(to_date(right(name, 8), 'YYYYMMDD') + 1 as timestamp) at time zone 'UTC' > now() - keep;
        begin
            lock table api_requests in access exclusive mode;
            execute format('drop table %I', name);
            dropped := dropped + 1;
        exception when lock_not_available then
            null;  -- the next run drops it
        end;
    end loop;
    return dropped;
end
$$;
"""

RIGHTS = """
revoke execute on function ensure_api_request_partitions, drop_api_request_partitions from public;
grant execute on function ensure_api_request_partitions, drop_api_request_partitions to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    for statements in (API_REQUESTS, ENSURE, DROP, RIGHTS.format(schema=schema)):
        op.execute(statements)
