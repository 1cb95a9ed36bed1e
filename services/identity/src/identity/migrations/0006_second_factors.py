"""Second factors, and how the user of a session has proved who they are."""

from alembic import op

revision = "identity_0006"
down_revision = "identity_0005"
branch_labels = None
depends_on = None

SECOND_FACTORS = """
create table second_factors (
    user_id uuid primary key references users,
    secret text not null check (secret <> ''),
    last_step bigint not null default 0,
    recovery_hashes bytea not null default '' check (octet_length(recovery_hashes) % 32 = 0),
    created_at timestamptz not null,
    confirmed_at timestamptz
);
"""

SESSIONS = """
alter table sessions
    add column authenticated_at timestamptz,
    add column has_second_factor boolean not null default false;

update sessions set authenticated_at = created_at;
"""


def upgrade() -> None:
    for statements in (SECOND_FACTORS, SESSIONS):
        op.execute(statements)
