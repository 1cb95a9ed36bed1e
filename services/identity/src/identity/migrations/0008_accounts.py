"""Accounts of merchants, their environments, members, roles and invitations; which merchant a session is for."""

from alembic import op

revision = "identity_0008"
down_revision = "identity_0007"
branch_labels = None
depends_on = None

ACCOUNTS = """
create table accounts (
    account_id text collate "C" primary key check (account_id ~ '^acc_[A-Za-z0-9_]{1,60}$'),
    name text not null check (length(name) between 1 and 120),
    status text not null default 'ACTIVE' check (status in ('ACTIVE', 'SUSPENDED')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

insert into accounts (account_id, name)
select 'acc_' || substr(merchant_id, 5), name from merchants;
"""

# A merchant is one environment; the account is what its two have in common.
MERCHANTS = """
alter table merchants
    drop constraint merchants_merchant_id_check,
    add constraint merchants_merchant_id_check check (merchant_id ~ '^mer_[A-Za-z0-9_]{1,60}$'),
    add column account_id text collate "C" references accounts,
    add column environment text check (environment in ('live', 'test')),
    add column legal_name text,
    add column website text,
    add column logo_url text,
    add column support_email text,
    add column support_phone text,
    add column updated_at timestamptz not null default now();

update merchants set account_id = 'acc_' || substr(merchant_id, 5), environment = 'live';

insert into merchants (merchant_id, name, account_id, environment)
select merchant_id || '_test', name, account_id, 'test' from merchants where merchant_id = 'mer_commdesk';

alter table merchants
    alter column account_id set not null,
    alter column environment set not null,
    add unique (account_id, environment);
"""

# A role is one of the table of permissions, or one that the account has made itself.
MEMBERS = """
create table custom_roles (
    role_id text collate "C" primary key check (role_id ~ '^rol_[0-9A-Z]{26}$'),
    account_id text collate "C" not null references accounts,
    name text not null check (length(name) between 1 and 60),
    permissions text[] not null check (cardinality(permissions) between 1 and 200),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (account_id, name)
);

create table memberships (
    account_id text collate "C" not null references accounts,
    user_id uuid not null references users,
    roles text[] not null check (
        array_to_string(roles, ' ')
        ~ '^((OWNER|ADMIN|DEVELOPER|FINANCE|SUPPORT|VIEWER|rol_[0-9A-Z]{26})( |$)){1,20}$'
    ),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (account_id, user_id)
);

create index memberships_of_user on memberships (user_id);
"""

INVITATIONS = """
create table invitations (
    invitation_id uuid primary key,
    account_id text collate "C" not null references accounts,
    email text not null check (email <> ''),
    email_index bytea not null check (octet_length(email_index) = 32),
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    roles text[] not null check (
        array_to_string(roles, ' ')
        ~ '^((OWNER|ADMIN|DEVELOPER|FINANCE|SUPPORT|VIEWER|rol_[0-9A-Z]{26})( |$)){1,20}$'
    ),
    status text not null default 'PENDING' check (status in ('PENDING', 'ACCEPTED', 'DECLINED', 'REVOKED')),
    invited_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > created_at)
);

create unique index invitations_pending on invitations (account_id, email_index) where status = 'PENDING';
"""

SESSIONS = """
alter table sessions add column merchant_id text collate "C" references merchants;
"""


def upgrade() -> None:
    for statements in (ACCOUNTS, MERCHANTS, MEMBERS, INVITATIONS, SESSIONS):
        op.execute(statements)
