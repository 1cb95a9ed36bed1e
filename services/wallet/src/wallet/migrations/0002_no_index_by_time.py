"""Transactions are found by wallet, by id and by key; ids are in order of time, should anybody ask by that."""

from alembic import op

revision = "wallet_0002"
down_revision = "wallet_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("drop index wallet_transactions_created_at")
