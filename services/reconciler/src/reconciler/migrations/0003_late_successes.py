"""Successes of payments that were counted as failed before: each payment counts once in the success rate."""

from alembic import op

revision = "reconciler_0003"
down_revision = "reconciler_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table billing_events add column is_late boolean not null default false")
    op.execute("alter table billing_daily add column late bigint not null default 0")
