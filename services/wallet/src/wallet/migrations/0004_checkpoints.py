"""Sums over all transactions whose ids are too old for another one to come before them: common.checkpoints."""

from alembic import op

revision = "wallet_0004"
down_revision = "wallet_0003"
branch_labels = None
depends_on = None

CHECKPOINTS = """
create table checkpoints (
    name text primary key,
    up_to uuid not null,
    sums jsonb not null,
    taken_at timestamptz not null default now()
);
"""


def upgrade() -> None:
    op.execute(CHECKPOINTS)
