"""A row of the outbox for which the broker closes the channel is published alone from then on."""

from alembic import op

revision = "common_0004"
down_revision = "common_0003"
branch_labels = None
depends_on = None

REFUSED = """
alter table outbox add column refused text;
comment on column outbox.refused is 'The broker''s answer when it closed the channel for this row.';
"""


def upgrade() -> None:
    op.execute(REFUSED)
