"""Fewer entries in indexes for each journal: half of what posting one cost the database was keeping them."""

from alembic import op

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None

# An entry is booked by its journal's own transaction (the trigger lets nothing in later), so what was booked since a
# horizon is found by the journals of that time.
ENTRIES_BY_JOURNAL = "drop index ledger_entries_xid"

# A journal about a wallet transaction is caused by that very transaction, under one id: the key of causes finds it, and
# only the others need an entry of their own.
REFERENCES_OF_OTHERS = """
drop index journals_reference;
create index journals_reference on journals (reference) where reference <> cause_id;
"""


def upgrade() -> None:
    for statements in (ENTRIES_BY_JOURNAL, REFERENCES_OF_OTHERS):
        op.execute(statements)
