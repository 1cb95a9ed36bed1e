"""Listed values are sealed and found by a blind index; the addresses and devices of old decisions can be cleared.

An entry is written in plain, by operators, and sealed by the service (fraud.store.subject_lists). A process of the
version before looks entries up by `key`, which a sealed value changes: it does not find those any more.
"""

from alembic import op

revision = "fraud_0005"
down_revision = "fraud_0004"
branch_labels = None
depends_on = None

SUBJECT_LISTS = """
alter table subject_lists drop constraint subject_lists_pkey;
alter table subject_lists
    add column id uuid primary key default gen_random_uuid(),
    -- Empty until the entry is sealed, and with it without effect.
    add column value_index bytea check (octet_length(value_index) = 32),
    add column user_id text not null default '';
create index subject_lists_value on subject_lists (value_index) where value_index is not null;
create index subject_lists_unsealed on subject_lists (id) where value_index is null;
create index subject_lists_user on subject_lists (user_id) where user_id <> '';
"""

# `migrate` takes the rights to update and delete from the service for a table that has a trigger of this name.
FRAUD_EVENTS = """
create function refuse_decision_change() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if tg_op = 'UPDATE'
        and to_jsonb(new) - 'ip_index' - 'device_index' = to_jsonb(old) - 'ip_index' - 'device_index'
        and (new.ip_index is null or new.ip_index is not distinct from old.ip_index)
        and (new.device_index is null or new.device_index is not distinct from old.device_index)
    then
        return new;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;

drop trigger append_only on fraud_events;
create trigger append_only before update or delete on fraud_events
    for each row execute function refuse_decision_change();
create index fraud_events_with_origin on fraud_events (id) where ip_index is not null or device_index is not null;

-- A batch; answers how many decisions it was of.
create function clear_decision_origins(before timestamptz, rows_max integer) returns bigint
language sql security definer
set search_path from current
as $$
    with cleared as (
        update fraud_events set ip_index = null, device_index = null
        where id in (select id from fraud_events
                     where id < uuid_floor(before) and (ip_index is not null or device_index is not null)
                     order by id limit rows_max for no key update skip locked)
        returning 1
    )
    select count(*) from cleared
$$;

revoke execute on function refuse_decision_change, clear_decision_origins from public;
grant execute on function clear_decision_origins to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    op.execute(SUBJECT_LISTS)
    op.execute(FRAUD_EVENTS.replace("{schema}", schema))
