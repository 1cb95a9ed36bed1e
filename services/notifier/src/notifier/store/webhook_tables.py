"""The tables of webhooks as the migrations make them; a test compares both."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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
from sqlalchemy.dialects.postgresql import ARRAY

_MOMENT = DateTime(timezone=True)
_EMPTY = text("''")


def add_webhook_tables(metadata: MetaData) -> None:
    """Describe them in *metadata*."""
    endpoints = Table(
        "webhook_endpoints",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("merchant_id", Text, nullable=False),
        Column("url", Text, CheckConstraint("length(url) between 1 and 2048"), nullable=False),
        Column(
            "description", Text, CheckConstraint("length(description) <= 200"), nullable=False, server_default=_EMPTY
        ),
        Column("events", ARRAY(Text), nullable=False, server_default=text("'{}'")),
        Column("headers", Text, nullable=False, server_default=_EMPTY),
        Column("secrets", Text, CheckConstraint("secrets <> ''"), nullable=False),
        Column("status", Text, CheckConstraint("status in ('ENABLED', 'DISABLED', 'DELETED')"), nullable=False),
        Column("disabled_reason", Text, CheckConstraint("disabled_reason in ('merchant', 'gone', 'failing')")),
        Column("failing_since", _MOMENT),
        Column("due_at", _MOMENT),
        Column("created_by", Text, nullable=False),
        Column("created_at", _MOMENT, nullable=False),
        CheckConstraint("(status = 'DISABLED') = (disabled_reason is not null)"),
    )
    Index("webhook_endpoints_of_merchant", endpoints.c.merchant_id, endpoints.c.id)
    Index(
        "webhook_endpoints_due",
        endpoints.c.due_at,
        postgresql_where=text("status = 'ENABLED' and due_at is not null"),
    )
    events = Table(
        "webhook_events",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("merchant_id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("object_id", Text, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("at", _MOMENT, nullable=False),
        Column("body", LargeBinary, CheckConstraint("octet_length(body) between 1 and 65536"), nullable=False),
    )
    Index("webhook_events_of_merchant", events.c.merchant_id, events.c.id)
    deliveries = Table(
        "webhook_deliveries",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("endpoint_id", Uuid, ForeignKey("webhook_endpoints.id"), nullable=False),
        Column("event_id", Uuid, ForeignKey("webhook_events.id"), nullable=False),
        Column("merchant_id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("object_id", Text, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column(
            "status",
            Text,
            CheckConstraint("status in ('PENDING', 'SUCCESS', 'FAILED', 'CANCELLED')"),
            nullable=False,
        ),
        Column("attempts", Integer, CheckConstraint("attempts >= 0"), nullable=False, server_default=text("0")),
        Column("trigger", Text, CheckConstraint("trigger in ('AUTO', 'MANUAL')"), nullable=False),
        Column("next_retry_at", _MOMENT),
        Column("created_at", _MOMENT, nullable=False),
        Column("finished_at", _MOMENT),
        UniqueConstraint("endpoint_id", "event_id"),
        CheckConstraint("(status = 'PENDING') = (next_retry_at is not null)"),
        CheckConstraint("(status = 'PENDING') = (finished_at is null)"),
        postgresql_with={"fillfactor": 75},
    )
    pending = text("status = 'PENDING'")
    Index("webhook_deliveries_due", deliveries.c.endpoint_id, deliveries.c.next_retry_at, postgresql_where=pending)
    Index(
        "webhook_deliveries_in_order",
        *(deliveries.c.endpoint_id, deliveries.c.object_id, deliveries.c.seq, deliveries.c.id),
        postgresql_where=pending,
    )
    Index("webhook_deliveries_of_merchant", deliveries.c.merchant_id, deliveries.c.id)
    Index("webhook_deliveries_of_event", deliveries.c.event_id)
    Table(
        "webhook_attempts",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("delivery_id", Uuid, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), nullable=False),
        Column("number", Integer, CheckConstraint("number >= 1"), nullable=False),
        Column("at", _MOMENT, nullable=False),
        Column("trigger", Text, CheckConstraint("trigger in ('AUTO', 'MANUAL')"), nullable=False),
        Column("status_code", Integer, CheckConstraint("status_code between 0 and 999"), nullable=False),
        Column("error", Text),
        Column("ms", Integer, CheckConstraint("ms >= 0"), nullable=False),
        Column("answer", Text, nullable=False, server_default=_EMPTY),
        UniqueConstraint("delivery_id", "number"),
    )
