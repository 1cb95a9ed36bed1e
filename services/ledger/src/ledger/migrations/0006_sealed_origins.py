"""The audit log takes the sealing of an old address or agent that only begins like a sealed one, and its erasure.

A client chooses its user agent, so one of before may begin with `s1.`; and an actor whose key is destroyed keeps none.
"""

from alembic import op

revision = "ledger_0006"
down_revision = "ledger_0005"
branch_labels = None
depends_on = None

AUDIT_LOGS = """
-- The form of a sealed value: common.seals.is_sealed, with 12 bytes of nonce, 16 of tag and at least one of content.
create function has_sealed_form(value text) returns boolean
language sql immutable
set search_path from current
as $$ select value ~ '^s1[.][A-Za-z0-9_-]{1,16}[.][A-Za-z0-9_-]{39,}$' $$;

create or replace function refuse_audit_change() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if tg_op = 'UPDATE'
        and new is distinct from old
        and to_jsonb(new) - 'ip_address' - 'user_agent' = to_jsonb(old) - 'ip_address' - 'user_agent'
        and (new.ip_address is not distinct from old.ip_address
             or not has_sealed_form(old.ip_address) and coalesce(has_sealed_form(new.ip_address), true))
        and (new.user_agent is not distinct from old.user_agent
             or not has_sealed_form(old.user_agent) and coalesce(has_sealed_form(new.user_agent), true))
    then
        return new;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
"""


def upgrade() -> None:
    op.execute(AUDIT_LOGS)
