"""Accounts of refunds, disputes and settlements; who acted, in each journal: it is the audit record of its movement."""

from alembic import op

revision = "ledger_0009"
down_revision = "ledger_0008"
branch_labels = None
depends_on = None

ACCOUNTS = """
insert into accounts (account_id, code, asset, kind, normal_side) values
    (1200, 'asset:disputed', 'INR', 'asset', 'debit'),
    (1300, 'asset:gst_input', 'INR', 'asset', 'debit'),
    (1400, 'asset:settlement_suspense', 'INR', 'asset', 'debit'),
    (2400, 'liability:payout_in_transit', 'INR', 'liability', 'credit'),
    (2500, 'liability:tds', 'INR', 'liability', 'credit'),
    (2501, 'liability:tcs', 'INR', 'liability', 'credit'),
    (5200, 'expense:chargeback', 'INR', 'expense', 'debit'),
    (5300, 'expense:clawback_absorbed', 'INR', 'expense', 'debit'),
    (9010, 'debts', 'CREDIT', 'asset', 'debit');
"""

# Empty in journals from before this migration: their events name the actor.
ACTORS = """
alter table journals add column actor_id text not null default '';
"""


def upgrade() -> None:
    for statements in (ACCOUNTS, ACTORS):
        op.execute(statements)
