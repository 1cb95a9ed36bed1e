"""The audit log says which requests belong together: the id that a payment's client gave, or its first request's."""

from alembic import op

revision = "ledger_0008"
down_revision = "ledger_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table audit_logs add column correlation_id text not null default ''")
