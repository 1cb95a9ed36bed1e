"""Records of calls to gateways are evidence: nobody changes one, and nobody deletes one within its retention.

A process of the version before, while both run, cannot delete old records any more; those of this version do.
"""

from alembic import op

revision = "payment_0008"
down_revision = "payment_0007"
branch_labels = None
depends_on = None

# `migrate` takes the rights to update and delete from the service for a table that has a trigger of this name.
APPEND_ONLY = """
create trigger append_only before update on gateway_calls for each row execute function refuse_change();
create trigger append_only_kept before delete on gateway_calls for each row
    when (old.id >= uuid_floor(now() - interval '7 days')) execute function refuse_change();
create trigger append_only_whole before truncate on gateway_calls
    for each statement execute function refuse_change();

create function delete_old_gateway_calls() returns void
language sql security definer
set search_path from current
as $$
    delete from gateway_calls where id < uuid_floor(now() - interval '7 days')
$$;

revoke execute on function delete_old_gateway_calls from public;
grant execute on function delete_old_gateway_calls to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    op.execute(APPEND_ONLY.format(schema=schema))
