"""The tables, described once; a test compares them with what the migrations make."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData()

_MOMENT = DateTime(timezone=True)
# Compared byte by byte, whatever the database's locale.
_IDENTIFIER = Text(collation="C")

_ROLES = (
    "array_to_string(roles, ' ') ~ '^((OWNER|ADMIN|DEVELOPER|FINANCE|SUPPORT|VIEWER|rol_[0-9A-Z]{26})( |$)){1,20}$'"
)

# What the two environments of a merchant have in common: members, roles, status.
accounts = Table(
    "accounts",
    metadata,
    Column("account_id", _IDENTIFIER, CheckConstraint("account_id ~ '^acc_[A-Za-z0-9_]{1,60}$'"), primary_key=True),
    Column("name", Text, CheckConstraint("length(name) between 1 and 120"), nullable=False),
    Column(
        "status", Text, CheckConstraint("status in ('ACTIVE', 'SUSPENDED')"), nullable=False, server_default="ACTIVE"
    ),
    Column("created_at", _MOMENT, nullable=False, server_default=text("now()")),
    Column("updated_at", _MOMENT, nullable=False, server_default=text("now()")),
)

# One environment of an account each: a tenant of its own.
merchants = Table(
    "merchants",
    metadata,
    Column("merchant_id", _IDENTIFIER, CheckConstraint("merchant_id ~ '^mer_[A-Za-z0-9_]{1,60}$'"), primary_key=True),
    Column("name", Text, nullable=False),
    Column(
        "status", Text, CheckConstraint("status in ('ACTIVE', 'INACTIVE')"), nullable=False, server_default="ACTIVE"
    ),
    Column("created_at", _MOMENT, nullable=False, server_default=text("now()")),
    Column("account_id", _IDENTIFIER, ForeignKey("accounts.account_id"), nullable=False),
    Column("environment", Text, CheckConstraint("environment in ('live', 'test')"), nullable=False),
    Column("legal_name", Text),
    Column("website", Text),
    Column("logo_url", Text),
    Column("support_email", Text),
    Column("support_phone", Text),
    Column("updated_at", _MOMENT, nullable=False, server_default=text("now()")),
    UniqueConstraint("account_id", "environment"),
)

custom_roles = Table(
    "custom_roles",
    metadata,
    Column("role_id", _IDENTIFIER, CheckConstraint("role_id ~ '^rol_[0-9A-Z]{26}$'"), primary_key=True),
    Column("account_id", _IDENTIFIER, ForeignKey("accounts.account_id"), nullable=False),
    Column("name", Text, CheckConstraint("length(name) between 1 and 60"), nullable=False),
    Column("permissions", ARRAY(Text), CheckConstraint("cardinality(permissions) between 1 and 200"), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
    UniqueConstraint("account_id", "name"),
)

roles = Table(
    "roles",
    metadata,
    Column("role", _IDENTIFIER, CheckConstraint("role ~ '^[A-Z][A-Z_]{1,30}$'"), primary_key=True),
    Column("self_service", Boolean, nullable=False),
    Column("description", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("merchant_id", _IDENTIFIER, ForeignKey("merchants.merchant_id"), nullable=False),
    # Sealed, as name and mobile_number are; email_index finds it, without regard to case.
    Column("email", Text, nullable=False),
    # In lower case, of rows that are not sealed yet.
    Column("email_key", _IDENTIFIER),
    Column("name", Text, CheckConstraint("name <> ''"), nullable=False),
    Column("password_hash", Text, CheckConstraint("password_hash like '$argon2id$%'"), nullable=False),
    Column("mobile_number", Text),
    Column("country_code", Text, CheckConstraint("country_code ~ '^[+][1-9][0-9]{0,3}$'")),
    Column("type", _IDENTIFIER, ForeignKey("roles.role"), nullable=False),
    Column(
        "status", Text, CheckConstraint("status in ('ACTIVE', 'INACTIVE')"), nullable=False, server_default="ACTIVE"
    ),
    Column("is_email_verified", Boolean, nullable=False, server_default=text("false")),
    Column("is_mobile_number_verified", Boolean, nullable=False, server_default=text("false")),
    Column("version", Integer, CheckConstraint("version > 0"), nullable=False, server_default=text("1")),
    Column("created_at", _MOMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
    Column("email_index", LargeBinary, CheckConstraint("octet_length(email_index) = 32")),
    CheckConstraint("email_index is not null or email_key is not null"),
    UniqueConstraint("merchant_id", "email_key"),
    UniqueConstraint("merchant_id", "email_index"),
    postgresql_with={"fillfactor": 90},
)

user_roles = Table(
    "user_roles",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.user_id"), primary_key=True),
    Column("role", _IDENTIFIER, ForeignKey("roles.role"), primary_key=True),
    Column("granted_by", Text, nullable=False),
    Column("granted_at", _MOMENT, nullable=False),
)

# Written under the lock of their account, as custom roles and invitations are.
memberships = Table(
    "memberships",
    metadata,
    Column("account_id", _IDENTIFIER, ForeignKey("accounts.account_id"), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id"), primary_key=True),
    Column("roles", ARRAY(Text), CheckConstraint(_ROLES), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
    Index("memberships_of_user", "user_id"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("invitation_id", Uuid, primary_key=True),
    Column("account_id", _IDENTIFIER, ForeignKey("accounts.account_id"), nullable=False),
    # Sealed; email_index finds it, without regard to case.
    Column("email", Text, CheckConstraint("email <> ''"), nullable=False),
    Column("email_index", LargeBinary, CheckConstraint("octet_length(email_index) = 32"), nullable=False),
    Column("token_hash", LargeBinary, CheckConstraint("octet_length(token_hash) = 32"), nullable=False, unique=True),
    Column("roles", ARRAY(Text), CheckConstraint(_ROLES), nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status in ('PENDING', 'ACCEPTED', 'DECLINED', 'REVOKED')"),
        nullable=False,
        server_default="PENDING",
    ),
    Column("invited_by", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    CheckConstraint("expires_at > created_at"),
    Index("invitations_pending", "account_id", "email_index", unique=True, postgresql_where=text("status = 'PENDING'")),
)

# One row per family of refresh tokens; a refresh updates it in place (no indexed column changes: HOT).
sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id"), nullable=False),
    Column("generation", Integer, CheckConstraint("generation > 0"), nullable=False),
    Column("token_hash", LargeBinary, CheckConstraint("length(token_hash) = 32"), nullable=False),
    # Both sealed.
    Column("ip", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("rotated_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("revoked_at", _MOMENT),
    Column("revoked_because", Text, CheckConstraint("(revoked_because is null) = (revoked_at is null)")),
    # SHA-256 of the tokens before the newest, joined, the oldest first.
    Column(
        "retired_hashes",
        LargeBinary,
        CheckConstraint("octet_length(retired_hashes) % 32 = 0"),
        nullable=False,
        server_default=text("''"),
    ),
    Column("authenticated_at", _MOMENT),
    Column("has_second_factor", Boolean, nullable=False, server_default=text("false")),
    # The environment that its tokens are for; the user's own merchant when it is null.
    Column("merchant_id", _IDENTIFIER, ForeignKey("merchants.merchant_id")),
    Index("sessions_of_user", "user_id"),
    postgresql_with={"fillfactor": 70},
)

# Accesses that ended before their tokens, for as long as those live: read by every service when it starts, and after.
revocations = Table(
    "revocations",
    metadata,
    Column("revocation_id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id"), nullable=False),
    Column("merchant_id", _IDENTIFIER, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("session_id", Uuid),
    Column("user_version", Integer),
    Column("reason", Text, nullable=False),
    Column("revoked_at", _MOMENT, nullable=False),
    CheckConstraint("(session_id is null) <> (user_version is null)"),
    Index("revocations_by_time", "revoked_at"),
)

# A second factor counts once it is confirmed; recovery_hashes are SHA-256, joined.
second_factors = Table(
    "second_factors",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.user_id"), primary_key=True),
    # Sealed.
    Column("secret", Text, CheckConstraint("secret <> ''"), nullable=False),
    Column("last_step", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "recovery_hashes",
        LargeBinary,
        CheckConstraint("octet_length(recovery_hashes) % 32 = 0"),
        nullable=False,
        server_default=text("''"),
    ),
    Column("created_at", _MOMENT, nullable=False),
    Column("confirmed_at", _MOMENT),
)

# Single-use tokens that were mailed, by their SHA-256.
account_tokens = Table(
    "account_tokens",
    metadata,
    Column("token_hash", LargeBinary, CheckConstraint("octet_length(token_hash) = 32"), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id"), nullable=False),
    Column("purpose", Text, CheckConstraint("purpose in ('verify', 'reset')"), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    CheckConstraint("expires_at > created_at"),
    Index("account_tokens_of_user", "user_id"),
)

# Keys are hashes: nothing in here names a user or an address.
login_throttles = Table(
    "login_throttles",
    metadata,
    Column("key", LargeBinary, CheckConstraint("length(key) = 32"), primary_key=True),
    Column("attempts", Integer, CheckConstraint("attempts >= 0"), nullable=False),
    Column("window_ends_at", _MOMENT, nullable=False),
    # Of an account, from wherever it is tried.
    Column("blocked_until", _MOMENT),
    postgresql_with={"fillfactor": 50},
)

# API keys by the keyed hash of their text, which is nowhere. permissions null: all of the key's kind.
api_keys = Table(
    "api_keys",
    metadata,
    Column("api_key_id", Uuid, primary_key=True),
    Column("merchant_id", _IDENTIFIER, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("kind", _IDENTIFIER, CheckConstraint("kind in ('publishable', 'secret')"), nullable=False),
    Column("name", Text, CheckConstraint("length(name) between 1 and 120"), nullable=False),
    # What may be shown of the text.
    Column("prefix", _IDENTIFIER, CheckConstraint("prefix ~ '^(key|sk)_(test|live)_$'"), nullable=False),
    Column("last_four", Text, CheckConstraint("length(last_four) = 4"), nullable=False),
    Column("key_hash", LargeBinary, CheckConstraint("octet_length(key_hash) = 32"), nullable=False, unique=True),
    Column("permissions", ARRAY(Text)),
    Column(
        "origins",
        ARRAY(Text),
        CheckConstraint("cardinality(origins) <= 50"),
        nullable=False,
        server_default=text("'{}'"),
    ),
    Column(
        "networks",
        ARRAY(Text),
        CheckConstraint("cardinality(networks) <= 50"),
        nullable=False,
        server_default=text("'{}'"),
    ),
    Column("api_version", Date, nullable=False),
    Column("created_by", Text, CheckConstraint("created_by <> ''"), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT),
    Column("revoked_at", _MOMENT),
    Column("revoked_because", Text, CheckConstraint("(revoked_because is null) = (revoked_at is null)")),
    # Written in batches; null until the first use.
    Column("last_used_at", _MOMENT),
    Column("replaces", Uuid, ForeignKey("api_keys.api_key_id")),
    CheckConstraint("(kind = 'publishable') = (prefix like 'key%')"),
    CheckConstraint("(kind = 'publishable') = (cardinality(origins) > 0)"),
    CheckConstraint("kind = 'secret' or cardinality(networks) = 0"),
    Index("api_keys_of_merchant", "merchant_id", "api_key_id"),
    postgresql_with={"fillfactor": 80},
)
