"""Only what something writes: two types of transaction, no settings of an auto-recharge that does not exist yet.

What a later change needs it brings along, in its own migration.
"""

from alembic import op

revision = "wallet_0003"
down_revision = "wallet_0002"
branch_labels = None
depends_on = None

# Checked in two steps, so that writers wait for the catalogue only and not for the look at every row.
TYPES = """
alter table wallet_transactions drop constraint wallet_transactions_type_check;
alter table wallet_transactions add constraint wallet_transactions_type_check
    check (type in ('GRANT', 'CONSUME')) not valid;
alter table wallet_transactions validate constraint wallet_transactions_type_check;
alter table wallet_transactions drop column metadata;
"""
AUTO_RECHARGE = """
alter table wallets drop column auto_recharge_enabled, drop column auto_recharge_threshold;
"""


def upgrade() -> None:
    for statements in (TYPES, AUTO_RECHARGE):
        op.execute(statements)
