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
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

_ZERO = text("0")
_EMPTY = text("''")
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
    Column("payments_checked", Integer, nullable=False, server_default=_ZERO),
    Column("settlements_checked", Integer, nullable=False, server_default=_ZERO),
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
    Column("payment_id", Text, nullable=False, server_default=_EMPTY),
    Column("settlement_id", Text, nullable=False, server_default=_EMPTY),
    Column("merchant_id", Text, nullable=False, server_default=_EMPTY),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor >= 0"), nullable=False, server_default=_ZERO),
    Column("currency", Text, nullable=False, server_default=_EMPTY),
    Column("evidence", JSONB, nullable=False, server_default=text("'[]'")),
    Column("owner", Text, nullable=False, server_default=_EMPTY),
    Column("resolved_by", Text, nullable=False, server_default=_EMPTY),
    Column("resolution", Text, nullable=False, server_default=_EMPTY),
    Column("decision_stands", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("not decision_stands or resolved_by <> ''"),
    CheckConstraint("(status = 'RESOLVED') = (resolved_at is not null)"),
    CheckConstraint("(status = 'RESOLVED') = (resolved_run_id is not null or resolved_by <> '')"),
    CheckConstraint("(resolved_by <> '') = (resolution <> '')"),
)
Index("reconciliation_cases_payment", cases.c.payment_id, postgresql_where=text("status = 'OPEN'"))
Index("reconciliation_cases_settlement", cases.c.settlement_id, postgresql_where=text("status = 'OPEN'"))
Index("reconciliation_cases_decided", cases.c.kind, cases.c.reference, postgresql_where=cases.c.decision_stands)
Index("reconciliation_cases_payment_decided", cases.c.payment_id, postgresql_where=cases.c.decision_stands)
Index("reconciliation_cases_settlement_decided", cases.c.settlement_id, postgresql_where=cases.c.decision_stands)
Index("reconciliation_cases_opened", cases.c.opened_at, cases.c.case_id)
Index("reconciliation_cases_same", cases.c.kind, cases.c.reference, cases.c.opened_at)
Index("reconciliation_cases_run", cases.c.run_id)
Index("reconciliation_cases_resolved_run", cases.c.resolved_run_id)
Index(
    "reconciliation_cases_open",
    cases.c.kind,
    cases.c.reference,
    unique=True,
    postgresql_where=text("status = 'OPEN'"),
)

notes = Table(
    "reconciliation_notes",
    metadata,
    Column("note_id", Uuid, primary_key=True),
    Column("case_id", Uuid, ForeignKey(cases.c.case_id), nullable=False),
    Column("author", Text, nullable=False),
    Column("note", Text, CheckConstraint("note <> ''"), nullable=False),
    Column("created_at", _time, nullable=False),
)
Index("reconciliation_notes_case", notes.c.case_id, notes.c.note_id)

matching_cursors = Table(
    "matching_cursors",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("changed_until", _time, nullable=False),
    Column("window_until", _time),
    Column("page", Text, nullable=False, server_default=_EMPTY),
    CheckConstraint("window_until is not null or page = ''"),
    CheckConstraint("window_until >= changed_until"),
)

matched_payments = Table(
    "matched_payments",
    metadata,
    Column("payment_id", Text, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor >= 0"), nullable=False),
    Column("paid_on", Date),
    Column("settled_at", _time),
    Column("recheck_at", _time),
    Column("judged_at", _time, nullable=False),
    postgresql_with={"fillfactor": 80},
)
Index(
    "matched_payments_recheck",
    matched_payments.c.recheck_at,
    matched_payments.c.payment_id,
    postgresql_where=matched_payments.c.recheck_at.is_not(None),
)
Index(
    "matched_payments_paid",
    matched_payments.c.paid_on,
    postgresql_where=matched_payments.c.paid_on.is_not(None),
)

matched_settlements = Table(
    "matched_settlements",
    metadata,
    Column("settlement_id", Text, primary_key=True),
    *(
        Column(name, Text, nullable=False)
        for name in ("merchant_id", "gateway", "account_id", "gateway_settlement_id", "utr")
    ),
    Column("status", Text, CheckConstraint("status in ('PENDING', 'SETTLED', 'ON_HOLD', 'REVERSED')"), nullable=False),
    Column("currency", Text, nullable=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("gross_minor", "fee_minor", "fee_tax_minor", "adjustment_minor", "net_minor")
    ),
    Column("settled_at", _time),
    Column("seq", BigInteger, nullable=False),
    Column("bank_line_id", Uuid),
    Column("recheck_at", _time),
    Column("judged_at", _time, nullable=False),
    CheckConstraint("net_minor + fee_minor + fee_tax_minor + adjustment_minor = gross_minor"),
)
Index(
    "matched_settlements_recheck",
    matched_settlements.c.recheck_at,
    matched_settlements.c.settlement_id,
    postgresql_where=matched_settlements.c.recheck_at.is_not(None),
)
Index("matched_settlements_settled", matched_settlements.c.settled_at)

bank_statements = Table(
    "bank_statements",
    metadata,
    Column("statement_id", Uuid, primary_key=True),
    Column("account", Text, nullable=False),
    Column("format", Text, CheckConstraint("format in ('CSV', 'MT940')"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("first_on", Date, nullable=False),
    Column("last_on", Date, CheckConstraint("last_on >= first_on"), nullable=False),
    Column("lines", Integer, CheckConstraint("lines >= 0"), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("uploaded_at", _time, nullable=False),
    UniqueConstraint("account", "sha256"),
)

bank_lines = Table(
    "bank_lines",
    metadata,
    Column("line_id", Uuid, primary_key=True),
    Column("statement_id", Uuid, ForeignKey(bank_statements.c.statement_id), nullable=False),
    Column("account", Text, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor <> 0"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("words", Text, CheckConstraint("length(words) <= 200"), nullable=False),
    Column("ordinal", Integer, CheckConstraint("ordinal >= 0"), nullable=False),
    UniqueConstraint("account", "booked_on", "amount_minor", "words", "ordinal"),
)
Index("bank_lines_booked", bank_lines.c.booked_on, bank_lines.c.currency)

closes = Table(
    "reconciliation_closes",
    metadata,
    Column("close_id", Uuid, primary_key=True),
    Column("day", Date, nullable=False),
    Column("closed_at", _time, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("statement", JSONB, nullable=False),
)
Index("reconciliation_closes_day", closes.c.day, closes.c.close_id)

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
        CheckConstraint(
            "kind in ('payment.created', 'payment.success', 'payment.failed', 'refund.created', 'webhook.failure')"
        ),
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
            "refunds",
            "refunds_minor",
        )
    ),
    postgresql_with={"fillfactor": 50},
)
