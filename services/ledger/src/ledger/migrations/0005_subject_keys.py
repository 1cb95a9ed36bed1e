"""Addresses and agents in the audit log are sealed, under a key for each actor: who destroys the key erases them.

The log stays append-only. The one change that it takes is that a row from before gets its address and agent sealed,
by a function that the service may call and the service's own keys.
"""

from alembic import op

revision = "ledger_0005"
down_revision = "ledger_0004"
branch_labels = None
depends_on = None

SUBJECT_KEYS = """
create table subject_keys (
    subject text collate "C" primary key,
    -- 32 bytes, sealed; empty once it is destroyed.
    key bytea not null,
    created_at timestamptz not null default now(),
    destroyed_at timestamptz,
    check ((octet_length(key) = 0) = (destroyed_at is not null))
);
"""

AUDIT_LOGS = """
create function refuse_audit_change() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if tg_op = 'UPDATE'
        and new is distinct from old
        and to_jsonb(new) - 'ip_address' - 'user_agent' = to_jsonb(old) - 'ip_address' - 'user_agent'
        and (new.ip_address is not distinct from old.ip_address
             or old.ip_address not like 's1.%' and new.ip_address like 's1.%')
        and (new.user_agent is not distinct from old.user_agent
             or old.user_agent not like 's1.%' and new.user_agent like 's1.%')
    then
        return new;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;

drop trigger append_only on audit_logs;
create trigger append_only before update or delete on audit_logs for each row execute function refuse_audit_change();

create function seal_audit_origins(ids uuid[], addresses text[], agents text[]) returns void
language sql security definer
set search_path from current
as $$
    update audit_logs a set ip_address = nullif(c.address, ''), user_agent = nullif(c.agent, '')
    from unnest(ids, addresses, agents) as c (id, address, agent) where a.audit_id = c.id
$$;

revoke execute on function refuse_audit_change, seal_audit_origins from public;
grant execute on function seal_audit_origins to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    op.execute(SUBJECT_KEYS)
    op.execute(AUDIT_LOGS.replace("{schema}", schema))
