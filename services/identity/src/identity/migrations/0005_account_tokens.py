"""Tokens that are mailed to the address of an account: to verify it, or to set a new password."""

from alembic import op

revision = "identity_0005"
down_revision = "identity_0004"
branch_labels = None
depends_on = None

ACCOUNT_TOKENS = """
create table account_tokens (
    token_hash bytea primary key check (octet_length(token_hash) = 32),
    user_id uuid not null references users,
    purpose text not null check (purpose in ('verify', 'reset')),
    created_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > created_at)
);

create index account_tokens_of_user on account_tokens (user_id);
"""


def upgrade() -> None:
    op.execute(ACCOUNT_TOKENS)
