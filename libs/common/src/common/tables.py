"""The tables that every service's schema has beside its own, as SQLAlchemy Core describes them.

The migrations `common_*` make them; a test compares the two (common.testing.schema).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

_MOMENT = DateTime(timezone=True)
_NOW = text("now()")

outbox = Table(
    "outbox",
    metadata,
    Column("envelope_id", Uuid, primary_key=True),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("mandatory", Boolean, nullable=False),
    Column("type", Text, nullable=False),
    Column("headers", JSONB),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("leased_until", _MOMENT),
    Column("published_at", _MOMENT),
    Column("refused", Text),
    Index("outbox_unpublished", "envelope_id", postgresql_where=text("published_at is null")),
    postgresql_partition_by="RANGE (envelope_id)",
)

inbox = Table(
    "inbox",
    metadata,
    Column("envelope_id", Uuid, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("claimed_at", _MOMENT, nullable=False, server_default=_NOW),
    PrimaryKeyConstraint("envelope_id", "consumer"),
    postgresql_partition_by="RANGE (envelope_id)",
)

intents = Table(
    "intents",
    metadata,
    Column("intent_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("attempts", Integer, CheckConstraint("attempts >= 0"), nullable=False, server_default=text("0")),
    Column("due_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("leased_until", _MOMENT),
    Column("last_error", Text),
    Column("done_at", _MOMENT),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    Index("intents_due", "kind", "due_at", postgresql_where=text("done_at is null")),
    postgresql_with={
        "fillfactor": 85,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 10000,
    },
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("merchant_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("subject", Uuid),
    Column("state", Text, CheckConstraint("state in ('STARTED', 'COMPLETED')"), nullable=False),
    Column("leased_until", _MOMENT),
    Column("status", SmallInteger),
    Column("response", LargeBinary),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("expires_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("merchant_id", "user_id", "route", "key"),
    CheckConstraint("state = 'STARTED' or status is not null"),
    Index("idempotency_keys_expiry", "expires_at"),
    postgresql_with={
        "fillfactor": 70,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 10000,
    },
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("dead_letter_id", Uuid, primary_key=True),
    Column("source_id", Uuid, nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("producer", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_failed_at", _MOMENT, nullable=False),
    Column("dead_at", _MOMENT, nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status in ('OPEN', 'REPLAYED', 'DISCARDED')"),
        nullable=False,
        server_default=text("'OPEN'"),
    ),
    Column("actor", Text),
    Column("reason", Text),
    Column("closed_at", _MOMENT),
    CheckConstraint("(status = 'OPEN') = (closed_at is null)"),
    CheckConstraint("status = 'OPEN' or (actor is not null and reason is not null)"),
    Index("dead_letters_open", "queue", "dead_at", postgresql_where=text("status = 'OPEN'")),
)

# How far re-encryption and retention have come through a table: see common.table_passes.
table_passes = Table(
    "table_passes",
    metadata,
    Column("pass", Text(collation="C"), primary_key=True),
    Column("table_name", Text(collation="C"), primary_key=True),
    Column("cursor", Text, nullable=False, server_default=text("''")),
    Column("rows_seen", BigInteger, CheckConstraint("rows_seen >= 0"), nullable=False, server_default=text("0")),
    Column("rows_changed", BigInteger, CheckConstraint("rows_changed >= 0"), nullable=False, server_default=text("0")),
    Column("completed_at", _MOMENT),
)

# The log of requests by API key: see common.request_log.
api_requests = Table(
    "api_requests",
    metadata,
    Column("request_log_id", Uuid, primary_key=True),
    Column("merchant_id", Text(collation="C"), nullable=False),
    Column("api_key_id", Text(collation="C"), nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("duration_micros", BigInteger, CheckConstraint("duration_micros >= 0"), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("body_hash", LargeBinary, CheckConstraint("octet_length(body_hash) = 32")),
    Index("api_requests_of_merchant", "merchant_id", text("request_log_id desc")),
    postgresql_partition_by="RANGE (request_log_id)",
)
