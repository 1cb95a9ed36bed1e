"""A payment keeps the correlation id of the request that made it, for all that is announced about it later."""

from alembic import op

revision = "payment_0009"
down_revision = "payment_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table payments add column correlation_id text not null default ''")
