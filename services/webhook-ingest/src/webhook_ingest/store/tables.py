"""The tables as the migrations make them; a test compares both."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

_MOMENT = DateTime(timezone=True)

webhook_logs = Table(
    "webhook_logs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("event_type", Text),
    Column("event_version", Text, nullable=False),
    Column("attempt", Integer, CheckConstraint("attempt >= 0"), nullable=False),
    # Bounds as in common.times.
    Column(
        "event_time",
        _MOMENT,
        CheckConstraint(
            "event_time >= timestamptz '2000-01-01 00:00:00+00' and event_time < timestamptz '2100-01-01 00:00:00+00'"
        ),
    ),
    Column("order_id", Text),
    Column("gateway_payment_id", Text),
    Column("gateway_refund_id", Text),
    Column("gateway_status", Text),
    # The raw body, sealed; empty when it is not kept any longer.
    Column("payload", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("signature", Text, nullable=False),
    Column("hash", LargeBinary, CheckConstraint("octet_length(hash) = 32"), nullable=False),
    Column(
        "processing_status",
        Text,
        CheckConstraint("processing_status in ('RECEIVED', 'PROCESSING', 'PARKED', 'FAILED', 'DEAD', 'SUCCESS')"),
        nullable=False,
    ),
    Column("retry_count", Integer, CheckConstraint("retry_count >= 0"), nullable=False, server_default=text("0")),
    Column("failure_reason", Text),
    Column("received_at", _MOMENT, nullable=False),
    Column("processed_at", _MOMENT),
    Column("gateway_account_id", Text, nullable=False),
    CheckConstraint("event_type is not null or processing_status = 'PARKED'"),
    postgresql_with={"fillfactor": 50},
)
Index("webhook_logs_by_order", webhook_logs.c.order_id, postgresql_where=webhook_logs.c.order_id.is_not(None))
Index(
    "webhook_logs_by_gateway_payment",
    webhook_logs.c.gateway_payment_id,
    postgresql_where=webhook_logs.c.gateway_payment_id.is_not(None),
)

webhook_keys = Table(
    "webhook_keys",
    metadata,
    Column("key", LargeBinary, CheckConstraint("octet_length(key) = 32"), nullable=False),
    Column("webhook_id", Uuid, nullable=False),
    Column("duplicates", Integer, nullable=False, server_default=text("0")),
    Column("gateway_account_id", Text, nullable=False),
    PrimaryKeyConstraint("gateway_account_id", "key"),
)

webhook_history = Table(
    "webhook_history",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("webhook_id", Uuid, ForeignKey("webhook_logs.id"), nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status in ('PROCESSING', 'PARKED', 'FAILED', 'DEAD', 'SUCCESS')"),
        nullable=False,
    ),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("payment_id", Uuid),
    Column("reported_at", _MOMENT, nullable=False),
    Column("recorded_at", _MOMENT, nullable=False, server_default=text("now()")),
)
Index("webhook_history_by_webhook", webhook_history.c.webhook_id)
Index(
    "webhook_history_by_payment",
    webhook_history.c.payment_id,
    postgresql_where=webhook_history.c.payment_id.is_not(None),
)
