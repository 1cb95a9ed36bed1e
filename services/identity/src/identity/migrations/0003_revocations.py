"""Revocations: accesses that ended before their tokens."""

from alembic import op

revision = "identity_0003"
down_revision = "identity_0002"
branch_labels = None
depends_on = None

REVOCATIONS = """
create table revocations (
    revocation_id uuid primary key,
    user_id uuid not null references users,
    merchant_id text collate "C" not null references merchants,
    session_id uuid,
    user_version integer,
    reason text not null,
    revoked_at timestamptz not null,
    check ((session_id is null) <> (user_version is null))
);

create index revocations_by_time on revocations (revoked_at);
"""


def upgrade() -> None:
    op.execute(REVOCATIONS)
