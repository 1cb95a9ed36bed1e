"""Merchants, roles, users and their roles, sessions, login throttles."""

from alembic import op

revision = "identity_0001"
down_revision = None
branch_labels = None
depends_on = None

MERCHANTS = """
create table merchants (
    merchant_id text collate "C" primary key check (merchant_id ~ '^mer_[A-Za-z0-9]{1,60}$'),
    name text not null,
    status text not null default 'ACTIVE' check (status in ('ACTIVE', 'INACTIVE')),
    created_at timestamptz not null default now()
);

insert into merchants (merchant_id, name) values ('mer_commdesk', 'CommDesk');
"""

ROLES = """
create table roles (
    role text collate "C" primary key check (role ~ '^[A-Z][A-Z_]{1,30}$'),
    self_service boolean not null,
    description text not null
);

insert into roles (role, self_service, description) values
    ('USER', true, 'Buys and uses credits.'),
    ('PROVIDER', true, 'Offers services that are paid for.'),
    ('LAB_ASSISTANT', false, 'Works for a provider.'),
    ('SUPPORT', false, 'Reads payments and wallets, starts refunds within limits.'),
    ('FINANCE', false, 'Reads the books, settles and reconciles.'),
    ('ADMIN', false, 'Grants roles, and may do everything.');
"""

USERS = """
create table users (
    user_id uuid primary key,
    merchant_id text collate "C" not null references merchants,
    email text not null check (length(email) <= 254),
    email_key text collate "C" not null generated always as (lower(email collate "C")) stored,
    name text not null check (length(name) between 1 and 120),
    password_hash text not null check (password_hash like '$argon2id$%'),
    mobile_number text check (mobile_number ~ '^[0-9]{6,14}$'),
    country_code text check (country_code ~ '^[+][1-9][0-9]{0,3}$'),
    type text collate "C" not null references roles,
    status text not null default 'ACTIVE' check (status in ('ACTIVE', 'INACTIVE')),
    is_email_verified boolean not null default false,
    is_mobile_number_verified boolean not null default false,
    version integer not null default 1 check (version > 0),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (merchant_id, email_key)
) with (fillfactor = 90);

create table user_roles (
    user_id uuid not null references users,
    role text collate "C" not null references roles,
    granted_by text not null,
    granted_at timestamptz not null,
    primary key (user_id, role)
);
"""

# One row per family of refresh tokens; a refresh updates it in place (no indexed column moves: HOT).
SESSIONS = """
create table sessions (
    session_id uuid primary key,
    user_id uuid not null references users,
    generation integer not null check (generation > 0),
    token_hash bytea not null check (length(token_hash) = 32),
    ip text not null,
    user_agent text not null,
    created_at timestamptz not null,
    rotated_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_because text check ((revoked_because is null) = (revoked_at is null))
) with (fillfactor = 70);

create index sessions_of_user on sessions (user_id);
"""

# Keys are hashes: nothing in here says whose they are.
LOGIN_THROTTLES = """
create table login_throttles (
    key bytea primary key check (length(key) = 32),
    attempts integer not null check (attempts >= 0),
    window_ends_at timestamptz not null
) with (fillfactor = 50);
"""


def upgrade() -> None:
    for statements in (MERCHANTS, ROLES, USERS, SESSIONS, LOGIN_THROTTLES):
        op.execute(statements)
