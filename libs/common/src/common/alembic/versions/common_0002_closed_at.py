"""A dead letter is closed, by replaying or discarding it; only money is settled."""

from alembic import op

revision = "common_0002"
down_revision = "common_0001"
branch_labels = None
depends_on = None

# A constraint names columns by number: "open or closed_at" needs no new one.
CLOSED_AT = "alter table dead_letters rename column settled_at to closed_at;"


def upgrade() -> None:
    op.execute(CLOSED_AT)
