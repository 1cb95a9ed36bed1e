"""Retired refresh tokens, accounts that have to wait."""

from alembic import op

revision = "identity_0004"
down_revision = "identity_0003"
branch_labels = None
depends_on = None

SESSIONS = """
alter table sessions
    add column retired_hashes bytea not null default '' check (octet_length(retired_hashes) % 32 = 0);
"""

LOGIN_THROTTLES = """
alter table login_throttles add column blocked_until timestamptz;
"""


def upgrade() -> None:
    for statements in (SESSIONS, LOGIN_THROTTLES):
        op.execute(statements)
