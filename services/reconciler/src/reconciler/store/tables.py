"""The tables as the migrations make them; a test compares both."""

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
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

_ZERO = text("0")
_time = DateTime(timezone=True)

runs = Table(
    "reconciliation_runs",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("scope", Text, CheckConstraint("scope in ('DELIVERIES', 'ALL')"), nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status in ('RUNNING', 'SUCCEEDED', 'PARTIAL', 'FAILED')"),
        nullable=False,
    ),
    Column("actor", Text, nullable=False),
    Column("started_at", _time, nullable=False),
    Column("leased_until", _time, nullable=False),
    Column("finished_at", _time),
    Column("envelopes_checked", Integer, nullable=False, server_default=_ZERO),
    Column("envelopes_republished", Integer, nullable=False, server_default=_ZERO),
    Column("cases_opened", Integer, nullable=False, server_default=_ZERO),
    Column("cases_resolved", Integer, nullable=False, server_default=_ZERO),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'")),
    # The services that did not answer.
    Column("unasked", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    CheckConstraint("(status = 'RUNNING') = (finished_at is null)"),
    Index("reconciliation_runs_running", text("(true)"), unique=True, postgresql_where=text("status = 'RUNNING'")),
)
Index("reconciliation_runs_started", runs.c.started_at)

cases = Table(
    "reconciliation_cases",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("run_id", Uuid, ForeignKey(runs.c.run_id), nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("status", Text, CheckConstraint("status in ('OPEN', 'RESOLVED')"), nullable=False),
    Column("opened_at", _time, nullable=False),
    Column("seen_at", _time, nullable=False),
    Column("resolved_at", _time),
    Column("resolved_run_id", Uuid, ForeignKey(runs.c.run_id)),
    CheckConstraint("(status = 'RESOLVED') = (resolved_at is not null)"),
    CheckConstraint("(status = 'RESOLVED') = (resolved_run_id is not null)"),
)
Index(
    "reconciliation_cases_open",
    cases.c.kind,
    cases.c.reference,
    unique=True,
    postgresql_where=text("status = 'OPEN'"),
)

delivery_cursors = Table(
    "delivery_cursors",
    metadata,
    Column("producer", Text, primary_key=True),
    Column("checked_until", _time, nullable=False),
)

missing_deliveries = Table(
    "missing_deliveries",
    metadata,
    Column("envelope_id", Uuid, primary_key=True),
    Column("queue", Text, primary_key=True),
    Column("producer", Text, nullable=False),
    Column("found_at", _time, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=_ZERO),
    Column("next_at", _time, nullable=False),
    Column("claimed_at", _time),
)
Index(
    "missing_deliveries_open",
    missing_deliveries.c.next_at,
    postgresql_where=missing_deliveries.c.claimed_at.is_(None),
)

differences = Table(
    "reconciliation_differences",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("left_value", BigInteger, nullable=False),
    Column("right_value", BigInteger, nullable=False),
    Column("since", _time, nullable=False),
    CheckConstraint("left_value <> right_value"),
)

billing_events = Table(
    "billing_events",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column(
        "kind",
        Text,
        CheckConstraint("kind in ('payment.created', 'payment.success', 'payment.failed', 'webhook.failure')"),
        nullable=False,
    ),
    Column("merchant_id", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor >= 0"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("pack_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("duration_micros", BigInteger, CheckConstraint("duration_micros >= 0"), nullable=False),
    Column("is_late", Boolean, nullable=False, server_default=text("false")),
    Column("occurred_at", _time, nullable=False),
    Column("received_at", _time, nullable=False, server_default=text("now()")),
)
Index("billing_events_occurred", billing_events.c.occurred_at, postgresql_using="brin")

billing_daily = Table(
    "billing_daily",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("currency", Text, primary_key=True),
    *(
        Column(name, BigInteger, nullable=False, server_default=_ZERO)
        for name in (
            "created",
            "succeeded",
            "failed",
            "created_minor",
            "succeeded_minor",
            "failed_minor",
            "duration_micros",
            "webhook_failures",
            "late",
        )
    ),
    postgresql_with={"fillfactor": 50},
)
