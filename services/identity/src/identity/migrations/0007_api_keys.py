"""API keys of merchants, by a keyed hash of their text (ADR 0068)."""

from alembic import op

revision = "identity_0007"
down_revision = "identity_0006"
branch_labels = None
depends_on = None

# permissions null: all of the key's kind. last_used_at changes once a minute, in place: no index has it.
API_KEYS = """
create table api_keys (
    api_key_id uuid primary key,
    merchant_id text collate "C" not null references merchants,
    kind text collate "C" not null check (kind in ('publishable', 'secret')),
    name text not null check (length(name) between 1 and 120),
    prefix text collate "C" not null check (prefix ~ '^(key|sk)_(test|live)_$'),
    last_four text not null check (length(last_four) = 4),
    key_hash bytea not null unique check (octet_length(key_hash) = 32),
    permissions text[],
    origins text[] not null default '{}' check (cardinality(origins) <= 50),
    networks text[] not null default '{}' check (cardinality(networks) <= 50),
    api_version date not null,
    created_by text not null check (created_by <> ''),
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_because text check ((revoked_because is null) = (revoked_at is null)),
    last_used_at timestamptz,
    replaces uuid references api_keys,
    check ((kind = 'publishable') = (prefix like 'key%')),
    check ((kind = 'publishable') = (cardinality(origins) > 0)),
    check (kind = 'secret' or cardinality(networks) = 0)
) with (fillfactor = 80);

create index api_keys_of_merchant on api_keys (merchant_id, api_key_id);
"""


def upgrade() -> None:
    op.execute(API_KEYS)
