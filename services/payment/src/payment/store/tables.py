"""The tables, as SQLAlchemy Core describes them; a test compares them with what the migrations make."""

from sqlalchemy import (
    REAL,
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
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from common import approvals, checkpoints
from payment.store.dispute_tables import dispute_tables
from payment.store.refund_tables import refund_tables
from payment.store.settlement_tables import settlement_tables

metadata = MetaData()

checkpoints.table(metadata)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _text_or_empty(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text("''"))


def _one_of(name: str, *values: str, default: str = "") -> Column[str]:
    listed = ", ".join(f"'{value}'" for value in values)
    check = CheckConstraint(f"{name} in ({listed})")
    return Column(name, Text, check, nullable=False, server_default=text(f"'{default}'") if default else None)


def _amount(name: str = "amount_minor", minimum: str = "> 0") -> Column[int]:
    return Column(name, BigInteger, CheckConstraint(f"{name} {minimum}"), nullable=False)


def _counter(name: str) -> Column[int]:
    return Column(name, Integer, CheckConstraint(f"{name} >= 0"), nullable=False, server_default=text("0"))


def _currency(*, nullable: bool = False) -> Column[str]:
    return Column("currency", Text, CheckConstraint("currency ~ '^[A-Z]{3}$'"), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def _payment_id(*, unique: bool = False) -> Column[object]:
    return Column("payment_id", Uuid, ForeignKey("payments.id"), nullable=False, unique=unique or None)


def _happened(name: str) -> str:
    """A time from the gateway: bounds as in common.times."""
    return f"{name} >= timestamptz '2000-01-01 00:00:00+00' and {name} < timestamptz '2100-01-01 00:00:00+00'"


# CGST and SGST are equal; until November 2026 CGST could be a paisa more.
_HALVES = "cgst_minor - sgst_minor between 0 and 1"
_TAX = "net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor"

payments = Table(
    "payments",
    metadata,
    Column("id", Uuid, primary_key=True),
    _text("merchant_id"),
    _text("user_id"),
    Column("order_id", Text, CheckConstraint("order_id ~ '^[A-Za-z0-9_-]{3,45}$'"), nullable=False),
    _text("reference_id"),
    _text("gateway"),
    _text("gateway_account_id"),
    _text_or_empty("gateway_order_id"),
    _text_or_empty("gateway_payment_id"),
    _text_or_empty("payment_session_id"),
    _one_of(
        "status", "CREATED", "PENDING", "AUTHORIZING", "PROCESSING", "SUCCESS", "FAILED", "EXPIRED", "CANCELLED",
        "SETTLED", "PARTIALLY_REFUNDED", "REFUNDED", "DISPUTED",
    ),
    Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
    _amount(),
    _currency(),
    _amount("net_minor", ">= 0"),
    _amount("cgst_minor", ">= 0"),
    _amount("sgst_minor", ">= 0"),
    _amount("igst_minor", ">= 0"),
    Column("gst_minor", BigInteger, Computed("cgst_minor + sgst_minor + igst_minor", persisted=True), nullable=False),
    _amount("platform_fee_minor", ">= 0"),
    _amount("credits_paid", ">= 0"),
    _amount("credits_bonus", ">= 0"),
    Column(
        "credits_granted",
        BigInteger,
        Computed("case when gateway_payment_id = '' then 0 else credits_paid + credits_bonus end", persisted=True),
        nullable=False,
    ),
    _text_or_empty("pack_id"),
    Column("pack_version", Integer, nullable=False, server_default=text("0")),
    _text("owner_kind"),
    _text("owner_id"),
    _text("place_of_supply"),
    _text_or_empty("customer_email"),
    _text_or_empty("customer_phone"),
    _text_or_empty("customer_name"),
    _flag("is_account_email"),
    _text_or_empty("description"),
    Column(
        "metadata",
        JSONB,
        CheckConstraint("jsonb_typeof(metadata) = 'object'"),
        nullable=False,
        server_default=text("'{}'"),
    ),
    _text_or_empty("provider_id"),
    _text_or_empty("service_type"),
    _text_or_empty("method_hint"),
    _text_or_empty("return_url"),
    _text_or_empty("idempotency_key"),
    Column("request_fingerprint", LargeBinary, nullable=False, server_default=text("''")),
    _text_or_empty("actor_id"),
    _text_or_empty("ip"),
    _text_or_empty("device_id"),
    _text_or_empty("user_agent"),
    _text_or_empty("request_id"),
    _text_or_empty("trace_id"),
    _text_or_empty("correlation_id"),
    Column("fraud_score", Integer),
    _one_of("fraud_review", "NONE", "FLAGGED", "ALLOWED", "BLOCKED", default="NONE"),
    _one_of("review", "NONE", "FLAGGED", "ALLOWED", "BLOCKED", "QUARANTINED", "DISMISSED", default="NONE"),
    _text_or_empty("review_reason"),
    _one_of("settlement_status", "NONE", "SETTLED", "ON_HOLD", "REVERSED", default="NONE"),
    _text_or_empty("payment_method"),
    _text_or_empty("payment_group"),
    _text_or_empty("failure_reason"),
    _flag("cancel_requested"),
    _flag("webhook_verified"),
    _counter("retry_count"),
    _moment("next_check_at", nullable=True),
    _moment("created_at"),
    Column("expires_at", DateTime(timezone=True), CheckConstraint("expires_at > created_at"), nullable=False),
    _moment("paid_at", nullable=True),
    _moment("updated_at"),
    CheckConstraint(_TAX),
    CheckConstraint(_HALVES),
    CheckConstraint(_happened("paid_at")),
    CheckConstraint("igst_minor = 0 or cgst_minor + sgst_minor = 0"),
    CheckConstraint("platform_fee_minor <= amount_minor"),
    # What was paid names the gateway's payment and the time.
    CheckConstraint(
        "status not in ('SUCCESS', 'SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED') "
        "or (gateway_payment_id <> '' and paid_at is not null)"
    ),
    CheckConstraint("review in (fraud_review, 'QUARANTINED', 'DISMISSED')"),
    UniqueConstraint("merchant_id", "order_id"),
    UniqueConstraint("gateway_account_id", "order_id"),
    Index(
        "payments_idempotency_key",
        "merchant_id",
        "user_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key <> ''"),
    ),
    Index("payments_of_user", "user_id", "merchant_id", "id"),
    Index("payments_created_at", "created_at"),
    Index(
        "payments_to_review",
        "merchant_id",
        "id",
        postgresql_where=text("review in ('QUARANTINED', 'FLAGGED')"),
    ),
    Index("payments_due", "next_check_at", postgresql_where=text("next_check_at is not null")),
    postgresql_with={"fillfactor": 65, "autovacuum_vacuum_scale_factor": 0.02},
)  # fmt: skip

# The same table of moves as payment.domain.states.
payment_history = Table(
    "payment_history",
    metadata,
    _payment_id(),
    Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
    Column("from_status", Text),
    _text("to_status"),
    _text("reason"),
    _text("actor"),
    _moment("at"),
    PrimaryKeyConstraint("payment_id", "seq"),
    Index("payment_history_at", "at", "payment_id"),
    CheckConstraint("(seq = 1) = (from_status is null)"),
    CheckConstraint(
        """case from_status
        when 'CREATED' then to_status in ('PENDING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
        when 'PENDING' then to_status in ('AUTHORIZING', 'PROCESSING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
        when 'AUTHORIZING' then to_status in ('PENDING', 'PROCESSING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
        when 'PROCESSING' then to_status in ('PENDING', 'SUCCESS', 'FAILED', 'EXPIRED')
        when 'FAILED' then to_status = 'SUCCESS'
        when 'EXPIRED' then to_status = 'SUCCESS'
        when 'CANCELLED' then to_status = 'SUCCESS'
        when 'SUCCESS' then to_status in ('SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')
        when 'SETTLED' then to_status in ('PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')
        when 'PARTIALLY_REFUNDED' then to_status in ('REFUNDED', 'DISPUTED', 'SUCCESS')
        when 'REFUNDED' then to_status in ('PARTIALLY_REFUNDED', 'SUCCESS')
        when 'DISPUTED' then to_status in ('SUCCESS', 'SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED')
        else from_status is null and to_status = 'CREATED' end""",
        name="payment_history_moves",
    ),
)

payment_attempts = Table(
    "payment_attempts",
    metadata,
    Column("id", Uuid, primary_key=True),
    _payment_id(),
    _text("gateway"),
    _text("gateway_payment_id"),
    _one_of("status", "STARTED", "AUTHORIZING", "PENDING", "UNKNOWN", "DROPPED", "FAILED", "SUCCESS"),
    Column("rank", SmallInteger, CheckConstraint("rank between 0 and 6"), nullable=False),
    # At most ten thousand crore rupees: gateways.cashfree.amounts.
    Column(
        "amount_minor",
        BigInteger,
        CheckConstraint("amount_minor >= 0"),
        CheckConstraint("amount_minor <= 10000000000000"),
    ),
    _currency(nullable=True),
    _text_or_empty("payment_method"),
    _text_or_empty("payment_group"),
    _text_or_empty("bank_reference"),
    _text_or_empty("reason"),
    _moment("created_at"),
    _moment("updated_at"),
    # When the gateway's own list showed it so; null: a webhook says it.
    _moment("confirmed_at", nullable=True),
    # When its failure was announced to fraud, once.
    _moment("failure_announced_at", nullable=True),
    UniqueConstraint("gateway", "gateway_payment_id"),
    Index("payment_attempts_payment", "payment_id"),
    postgresql_with={"fillfactor": 90},
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", Uuid, primary_key=True),
    _payment_id(),
    _text("merchant_id"),
    _text("gateway"),
    _text("provider_transaction_id"),
    _text_or_empty("bank_reference"),
    Column("gateway_response", JSONB, nullable=False, server_default=text("'{}'")),
    _amount(),
    _currency(),
    _one_of("status", "CAPTURED", "DUPLICATE", "REFUNDED"),
    Column("created_at", DateTime(timezone=True), CheckConstraint(_happened("created_at")), nullable=False),
    # When the gateway's own list showed it; null: the attempt's id was taken from a webhook.
    _moment("confirmed_at", nullable=True),
    _moment("confirmation_due_at", nullable=True),
    Index(
        "transactions_confirmed",
        "gateway",
        "provider_transaction_id",
        unique=True,
        postgresql_where=text("confirmed_at is not null"),
    ),
    Index("transactions_to_confirm", "confirmation_due_at", postgresql_where=text("confirmation_due_at is not null")),
    Index("transactions_payment", "payment_id"),
    Index("transactions_captured_once", "payment_id", unique=True, postgresql_where=text("status = 'CAPTURED'")),
)

receipts = Table(
    "receipts",
    metadata,
    Column("id", Uuid, primary_key=True),
    _payment_id(),
    _text("merchant_id"),
    _text("gateway"),
    Column("gateway_payment_id", Text, CheckConstraint("gateway_payment_id <> ''"), nullable=False),
    _one_of("reason", "DUPLICATE", "AMOUNT_MISMATCH", "LATE_SUCCESS", "FLAGGED"),
    _amount(),
    _currency(),
    Column(
        "applied_minor", BigInteger, CheckConstraint("applied_minor >= 0"), nullable=False, server_default=text("0")
    ),
    Column(
        "refunded_minor", BigInteger, CheckConstraint("refunded_minor >= 0"), nullable=False, server_default=text("0")
    ),
    _text_or_empty("gateway_refund_id"),
    _text_or_empty("payment_method"),
    _text_or_empty("payment_group"),
    _text_or_empty("bank_reference"),
    Column("received_at", DateTime(timezone=True), CheckConstraint(_happened("received_at")), nullable=False),
    _moment("announced_at", nullable=True),
    UniqueConstraint("gateway", "gateway_payment_id"),
    CheckConstraint("applied_minor + refunded_minor <= amount_minor"),
    CheckConstraint("(refunded_minor > 0) = (gateway_refund_id <> '')"),
    Index("receipts_payment", "payment_id"),
    Index(
        "receipts_open",
        "merchant_id",
        "payment_id",
        postgresql_where=text("applied_minor + refunded_minor < amount_minor"),
    ),
    Index("receipts_unannounced", "id", postgresql_where=text("announced_at is null")),
    Index(
        "receipts_refunded_once",
        "gateway",
        "gateway_refund_id",
        unique=True,
        postgresql_where=text("gateway_refund_id <> ''"),
    ),
    Index("receipts_applied_once", "payment_id", unique=True, postgresql_where=text("applied_minor > 0")),
)

# A decision is about what was seen, and only one can be about that.
review_decisions = Table(
    "review_decisions",
    metadata,
    Column("id", Uuid, primary_key=True),
    _payment_id(),
    _text("merchant_id"),
    _text("version"),
    _one_of("action", "FULFIL", "REFUNDED", "DISMISS"),
    Column("reason", Text, CheckConstraint("length(reason) between 3 and 500"), nullable=False),
    Column("actor_id", Text, CheckConstraint("actor_id <> ''"), nullable=False),
    Column("receipt_id", Uuid, ForeignKey("receipts.id")),
    _text_or_empty("gateway_refund_id"),
    _moment("at"),
    UniqueConstraint("payment_id", "version"),
    CheckConstraint("(action = 'REFUNDED') = (gateway_refund_id <> '')"),
    CheckConstraint("action = 'DISMISS' or receipt_id is not null"),
)

refunds = refund_tables(metadata)
approvals.table(metadata)

# Closed and quarantined payments whose orders are looked up on.
closed_checks = Table(
    "closed_checks",
    metadata,
    Column("payment_id", Uuid, ForeignKey("payments.id"), primary_key=True),
    _counter("checks"),
    _moment("due_at"),
    Index("closed_checks_due", "due_at"),
)

# The last alert about a type of webhook that no code handles.
unhandled_webhooks = Table(
    "unhandled_webhooks",
    metadata,
    _text("gateway_account_id"),
    _text("type"),
    _text("webhook_id"),
    _moment("alerted_at"),
    PrimaryKeyConstraint("gateway_account_id", "type"),
)

invoice_series = Table(
    "invoice_series",
    metadata,
    _text("merchant_id"),
    _text("series"),
    Column("last_number", BigInteger, CheckConstraint("last_number >= 0"), nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("merchant_id", "series"),
)

invoices = Table(
    "invoices",
    metadata,
    Column("id", Uuid, primary_key=True),
    _payment_id(unique=True),
    _text("merchant_id"),
    _text("user_id"),
    _text("series"),
    Column("number", BigInteger, CheckConstraint("number >= 1"), nullable=False),
    # Rule 46(b); the other form is that of series which were begun before it was kept to.
    Column(
        "invoice_number",
        Text,
        CheckConstraint(
            "invoice_number ~ '^[A-Z1-9][A-Z0-9/-]{0,15}$' or series ~ '/[0-9]{4}-[0-9]{2}$'",
        ),
        nullable=False,
    ),
    _amount(),
    _currency(),
    _amount("net_minor", ">= 0"),
    _amount("cgst_minor", ">= 0"),
    _amount("sgst_minor", ">= 0"),
    _amount("igst_minor", ">= 0"),
    _text("place_of_supply"),
    _moment("issued_at"),
    UniqueConstraint("merchant_id", "series", "number"),
    CheckConstraint(_TAX),
    CheckConstraint(_HALVES),
)

fee_rules = Table(
    "fee_rules",
    metadata,
    _text_or_empty("merchant_id"),
    _text_or_empty("service_type"),
    Column("basis_points", Integer, CheckConstraint("basis_points between 0 and 10000"), nullable=False),
    Column(
        "minimum_minor", BigInteger, CheckConstraint("minimum_minor >= 0"), nullable=False, server_default=text("0")
    ),
    Column("maximum_minor", BigInteger, CheckConstraint("maximum_minor >= minimum_minor")),
    PrimaryKeyConstraint("merchant_id", "service_type"),
)

gateway_calls = Table(
    "gateway_calls",
    metadata,
    Column("id", Uuid, primary_key=True),
    _text("gateway"),
    _text("gateway_account_id"),
    _text("operation"),
    _text("order_id"),
    Column("http_status", Integer, nullable=False),
    _text("outcome"),
    Column("ms", REAL, nullable=False),
    _moment("at"),
    Index("gateway_calls_order", "gateway_account_id", "order_id"),
)

settlements = settlement_tables(metadata)

disputes = dispute_tables(metadata)
