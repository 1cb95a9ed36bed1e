"""The account of money that the gateway took and that is no success (yet)."""

from alembic import op

revision = "ledger_0004"
down_revision = "ledger_0003"
branch_labels = None
depends_on = None

UNAPPLIED_RECEIPTS = """
insert into accounts (account_id, code, asset, kind, normal_side) values
    (2010, 'liability:unapplied_receipts', 'INR', 'liability', 'credit')
"""


def upgrade() -> None:
    op.execute(UNAPPLIED_RECEIPTS)
