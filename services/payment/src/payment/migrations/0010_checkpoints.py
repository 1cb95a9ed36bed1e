"""Sums over captures and invoices whose ids are too old for another one to come before them: common.checkpoints."""

from alembic import op

revision = "payment_0010"
down_revision = "payment_0009"
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
