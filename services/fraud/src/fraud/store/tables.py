"""The tables, described once; a test compares them with what the migrations make. Functions are the migrations' own."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

rules = Table(
    "rules",
    metadata,
    Column("name", Text, primary_key=True),
    Column(
        "dimension",
        Text,
        CheckConstraint("dimension in ('USER', 'IP', 'DEVICE', 'USER_AMOUNT', 'ORDER')"),
        nullable=False,
    ),
    Column(
        "metric",
        Text,
        CheckConstraint(
            "metric in ('CREATED', 'FAILED', 'ATTEMPT_FAILED', 'SUCCEEDED', 'ABANDONED', 'AMOUNT', 'NEW_SOURCE')"
        ),
        nullable=False,
    ),
    Column("window_seconds", Integer, CheckConstraint("window_seconds between 60 and 86400"), nullable=False),
    Column("threshold", BigInteger, CheckConstraint("threshold >= 0"), nullable=False),
    Column("score", Integer, CheckConstraint("score between 0 and 1000"), nullable=False),
    Column("action", Text, CheckConstraint("action in ('SCORE', 'REVIEW', 'BLOCK')"), nullable=False),
    Column("mode", Text, CheckConstraint("mode in ('ACTIVE', 'SHADOW')"), nullable=False, server_default="ACTIVE"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("description", Text, nullable=False, server_default=""),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    CheckConstraint("metric <> 'NEW_SOURCE' or dimension in ('IP', 'DEVICE')"),
    CheckConstraint("dimension <> 'ORDER' or metric = 'ATTEMPT_FAILED'"),
)

velocity_buckets = Table(
    "velocity_buckets",
    metadata,
    Column("key", Uuid, primary_key=True),
    # Minutes since 1970, UTC.
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("created", Integer, CheckConstraint("created >= 0"), nullable=False, server_default=text("0")),
    Column("failed", Integer, CheckConstraint("failed >= 0"), nullable=False, server_default=text("0")),
    Column("succeeded", Integer, CheckConstraint("succeeded >= 0"), nullable=False, server_default=text("0")),
    Column("abandoned", Integer, CheckConstraint("abandoned >= 0"), nullable=False, server_default=text("0")),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor >= 0"), nullable=False, server_default=text("0")),
    Column(
        "attempts_failed", Integer, CheckConstraint("attempts_failed >= 0"), nullable=False, server_default=text("0")
    ),
    postgresql_partition_by="RANGE (minute)",
)

# By user; days since 1970, UTC.
history_days = Table(
    "history_days",
    metadata,
    Column("key", Uuid, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    *(
        Column(name, Integer, CheckConstraint(f"{name} >= 0"), nullable=False, server_default=text("0"))
        for name in ("refunded", "disputed", "disputes_won", "disputes_lost")
    ),
    Index("history_days_old", "day"),
)

# Rules over them. Apart from `rules`, which a version that does not know these metrics must be able to read.
history_rules = Table(
    "history_rules",
    metadata,
    Column("name", Text, primary_key=True),
    Column(
        "metric",
        Text,
        CheckConstraint("metric in ('REFUNDED', 'DISPUTED', 'DISPUTE_WON', 'DISPUTE_LOST')"),
        nullable=False,
    ),
    Column("window_days", Integer, CheckConstraint("window_days between 1 and 365"), nullable=False),
    Column("threshold", BigInteger, CheckConstraint("threshold >= 0"), nullable=False),
    Column("score", Integer, CheckConstraint("score between 0 and 1000"), nullable=False),
    Column("action", Text, CheckConstraint("action in ('SCORE', 'REVIEW', 'BLOCK')"), nullable=False),
    Column("mode", Text, CheckConstraint("mode in ('ACTIVE', 'SHADOW')"), nullable=False, server_default="ACTIVE"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("description", Text, nullable=False, server_default=""),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

user_sources = Table(
    "user_sources",
    metadata,
    Column("user_key", Uuid, primary_key=True),
    Column("dimension", Text, CheckConstraint("dimension in ('IP', 'DEVICE')"), primary_key=True),
    Column("source_key", Uuid, primary_key=True),
    Column("first_seen", DateTime(timezone=True), nullable=False),
    # Exact to the hour.
    Column("last_seen", DateTime(timezone=True), CheckConstraint("last_seen >= first_seen"), nullable=False),
    postgresql_with={"fillfactor": 85},
)

subject_lists = Table(
    "subject_lists",
    metadata,
    # What a process of the version before looked entries up by; of a sealed value it says nothing.
    Column("key", Uuid, Computed("subject_key(dimension, merchant_id, value)", persisted=True), nullable=False),
    Column("verdict", Text, CheckConstraint("verdict in ('BLOCK', 'ALLOW')"), nullable=False),
    Column("dimension", Text, CheckConstraint("dimension in ('USER', 'IP', 'DEVICE')"), nullable=False),
    Column("merchant_id", Text, nullable=False),
    # In plain as operators write it, until the service seals it.
    Column("value", Text, CheckConstraint("value <> ''"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("expires_at", DateTime(timezone=True)),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    # Empty until the entry is sealed, and with it without effect.
    Column("value_index", LargeBinary, CheckConstraint("octet_length(value_index) = 32")),
    # Of an entry about a user, once it is sealed.
    Column("user_id", Text, nullable=False, server_default=text("''")),
    Index("subject_lists_value", "value_index", postgresql_where=text("value_index is not null")),
    Index("subject_lists_unsealed", "id", postgresql_where=text("value_index is null")),
    Index("subject_lists_user", "user_id", postgresql_where=text("user_id <> ''")),
)

fraud_events = Table(
    "fraud_events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("payment_id", Uuid, nullable=False, unique=True),
    Column("user_id", Text, nullable=False),
    # Empty: an older release filled them. What is compared are the blind indexes below.
    Column("ip", Text, nullable=False, server_default=text("''")),
    Column("device_id", Text, nullable=False, server_default=text("''")),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("score", Integer, CheckConstraint("score between 0 and 1000"), nullable=False),
    Column("decision", Text, CheckConstraint("decision in ('REVIEW', 'BLOCK')"), nullable=False),
    Column("reasons", ARRAY(Text), CheckConstraint("cardinality(reasons) > 0"), nullable=False),
    Column("shadow_reasons", ARRAY(Text), nullable=False),
    # Rule → what it saw.
    Column("measured", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("ip_index", LargeBinary, CheckConstraint("octet_length(ip_index) = 32")),
    Column("device_index", LargeBinary, CheckConstraint("octet_length(device_index) = 32")),
    Index("fraud_events_by_user", "user_id"),
    Index("fraud_events_by_ip", "ip_index", postgresql_where=text("ip_index is not null")),
    Index("fraud_events_with_origin", "id", postgresql_where=text("ip_index is not null or device_index is not null")),
    Index("fraud_events_by_device", "device_index", postgresql_where=text("device_index is not null")),
)

# A verdict has its time, its author and its reason; without one there is none of them.
reviews = Table(
    "reviews",
    metadata,
    Column("payment_id", Uuid, ForeignKey("fraud_events.payment_id"), primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("score", Integer, CheckConstraint("score between 0 and 1000"), nullable=False),
    Column("reasons", ARRAY(Text), CheckConstraint("cardinality(reasons) > 0"), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("verdict", Text, CheckConstraint("verdict in ('ALLOW', 'BLOCK')")),
    Column("decided_at", DateTime(timezone=True)),
    Column("actor_id", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    CheckConstraint("(verdict is null) = (decided_at is null)"),
    CheckConstraint("(verdict is null) = (actor_id = '')"),
    CheckConstraint("(verdict is null) = (reason = '')"),
    Index("reviews_of_merchant", "merchant_id", "payment_id"),
)
