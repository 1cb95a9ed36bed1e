"""How far a pass over a table has come: re-encryption and retention go through tables in batches, and resume."""

from alembic import op

revision = "common_0003"
down_revision = "common_0002"
branch_labels = None
depends_on = None

TABLE_PASSES = """
create table table_passes (
    pass text collate "C" not null,
    table_name text collate "C" not null,
    cursor text not null default '',
    rows_seen bigint not null default 0 check (rows_seen >= 0),
    rows_changed bigint not null default 0 check (rows_changed >= 0),
    completed_at timestamptz,
    primary key (pass, table_name)
);
"""


def upgrade() -> None:
    op.execute(TABLE_PASSES)
