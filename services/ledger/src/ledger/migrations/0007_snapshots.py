"""Snapshots of sums are added, never changed, and replaced by later ones alone.

Balances are read from the newest snapshot, so that whoever could change it could change a balance without a journal.
A process of the version before, while both run, takes no snapshots any more; those of this version do.
"""

from alembic import op

revision = "ledger_0007"
down_revision = "ledger_0006"
branch_labels = None
depends_on = None

# `migrate` takes the rights to update and delete from the service for a table that has a trigger of this name.
APPEND_ONLY = """
create trigger append_only before update on {table} for each row execute function refuse_change();
create trigger append_only_whole before truncate on {table} for each statement execute function refuse_change();
"""

# What is below the newest is used up; what is above the transactions of now was taken in another cluster's time and
# must not come to life later.
DELETE_REPLACED = """
create function delete_replaced_snapshots() returns void
language plpgsql security definer
set search_path from current
as $$
declare
    newest xid8;
begin
    select max(horizon) into newest from balance_snapshots where horizon <= pg_snapshot_xmin(pg_current_snapshot());
    delete from balance_snapshots where horizon <> newest;
    delete from journal_snapshots where horizon <> newest;
end
$$;

revoke execute on function delete_replaced_snapshots from public;
grant execute on function delete_replaced_snapshots to {schema};
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("select quote_ident(current_schema())").scalar_one()
    for table in ("balance_snapshots", "journal_snapshots"):
        op.execute(APPEND_ONLY.format(table=table))
    op.execute(DELETE_REPLACED.format(schema=schema))
