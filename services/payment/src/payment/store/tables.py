"""The tables, as SQLAlchemy Core describes them; a test compares them with what the migrations make."""

from sqlalchemy import (
    REAL,
    BigInteger,
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
from payment.store import columns
from payment.store.batch_tables import batch_tables
from payment.store.dispute_tables import dispute_tables
from payment.store.merchant_order_tables import merchant_order_tables
from payment.store.refund_tables import refund_tables
from payment.store.routing_tables import routing_tables
from payment.store.settlement_tables import settlement_tables

metadata = MetaData()

checkpoints.table(metadata)


def _payment_id(*, unique: bool = False) -> Column[object]:
    return Column("payment_id", Uuid, ForeignKey("payments.id"), nullable=False, unique=unique or None)


# CGST and SGST are equal; until November 2026 CGST could be a paisa more.
_HALVES = "cgst_minor - sgst_minor between 0 and 1"
_TAX = "net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor"

payments = Table(
    "payments",
    metadata,
    Column("id", Uuid, primary_key=True),
    columns.text_column("merchant_id"),
    columns.text_column("user_id"),
    Column("order_id", Text, CheckConstraint("order_id ~ '^[A-Za-z0-9_-]{3,45}$'"), nullable=False),
    columns.text_column("reference_id"),
    columns.text_column("gateway"),
    columns.text_column("gateway_account_id"),
    columns.text_or_empty("routing"),
    columns.text_or_empty("gateway_order_id"),
    columns.text_or_empty("gateway_payment_id"),
    columns.text_or_empty("payment_session_id"),
    columns.one_of(
        "status", "CREATED", "PENDING", "AUTHORIZING", "PROCESSING", "SUCCESS", "FAILED", "EXPIRED", "CANCELLED",
        "SETTLED", "PARTIALLY_REFUNDED", "REFUNDED", "DISPUTED",
    ),
    Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
    columns.amount(),
    columns.currency(),
    columns.amount("net_minor", ">= 0"),
    columns.amount("cgst_minor", ">= 0"),
    columns.amount("sgst_minor", ">= 0"),
    columns.amount("igst_minor", ">= 0"),
    Column("gst_minor", BigInteger, Computed("cgst_minor + sgst_minor + igst_minor", persisted=True), nullable=False),
    columns.amount("platform_fee_minor", ">= 0"),
    columns.amount("credits_paid", ">= 0"),
    columns.amount("credits_bonus", ">= 0"),
    Column(
        "credits_granted",
        BigInteger,
        Computed("case when gateway_payment_id = '' then 0 else credits_paid + credits_bonus end", persisted=True),
        nullable=False,
    ),
    columns.text_or_empty("pack_id"),
    Column("pack_version", Integer, nullable=False, server_default=text("0")),
    columns.text_column("owner_kind"),
    columns.text_column("owner_id"),
    columns.text_column("place_of_supply"),
    columns.text_or_empty("customer_email"),
    columns.text_or_empty("customer_phone"),
    columns.text_or_empty("customer_name"),
    columns.flag("is_account_email"),
    columns.text_or_empty("description"),
    Column(
        "metadata",
        JSONB,
        CheckConstraint("jsonb_typeof(metadata) = 'object'"),
        nullable=False,
        server_default=text("'{}'"),
    ),
    columns.text_or_empty("provider_id"),
    columns.text_or_empty("service_type"),
    columns.text_or_empty("method_hint"),
    columns.text_or_empty("return_url"),
    columns.text_or_empty("idempotency_key"),
    Column("request_fingerprint", LargeBinary, nullable=False, server_default=text("''")),
    columns.text_or_empty("actor_id"),
    columns.text_or_empty("ip"),
    columns.text_or_empty("device_id"),
    columns.text_or_empty("user_agent"),
    columns.text_or_empty("request_id"),
    columns.text_or_empty("trace_id"),
    columns.text_or_empty("correlation_id"),
    Column("fraud_score", Integer),
    columns.one_of("fraud_review", "NONE", "FLAGGED", "ALLOWED", "BLOCKED", default="NONE"),
    columns.one_of("review", "NONE", "FLAGGED", "ALLOWED", "BLOCKED", "QUARANTINED", "DISMISSED", default="NONE"),
    columns.text_or_empty("review_reason"),
    columns.one_of("settlement_status", "NONE", "SETTLED", "ON_HOLD", "REVERSED", default="NONE"),
    columns.text_or_empty("payment_method"),
    columns.text_or_empty("payment_group"),
    columns.text_or_empty("failure_reason"),
    columns.flag("cancel_requested"),
    columns.flag("webhook_verified"),
    columns.counter("retry_count"),
    columns.moment("next_check_at", nullable=True),
    columns.moment("created_at"),
    Column("expires_at", DateTime(timezone=True), CheckConstraint("expires_at > created_at"), nullable=False),
    columns.moment("paid_at", nullable=True),
    columns.moment("updated_at"),
    Column("parent_order_id", Uuid, ForeignKey("orders.id")),
    CheckConstraint(_TAX),
    CheckConstraint(_HALVES),
    CheckConstraint(columns.happened("paid_at")),
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
    Index("payments_of_order", "parent_order_id", postgresql_where=text("parent_order_id is not null")),
    postgresql_with={"fillfactor": 65, "autovacuum_vacuum_scale_factor": 0.02},
)  # fmt: skip

# The same table of moves as payment.domain.states.
payment_history = Table(
    "payment_history",
    metadata,
    _payment_id(),
    Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
    Column("from_status", Text),
    columns.text_column("to_status"),
    columns.text_column("reason"),
    columns.text_column("actor"),
    columns.moment("at"),
    PrimaryKeyConstraint("payment_id", "seq"),
    Index("payment_history_at", "at", "payment_id"),
    CheckConstraint("(seq = 1) = (from_status is null)"),
    CheckConstraint(
        """case from_status
        when 'CREATED' then to_status in ('CREATED', 'PENDING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
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
    columns.text_column("gateway"),
    columns.text_column("gateway_payment_id"),
    columns.one_of("status", "STARTED", "AUTHORIZING", "PENDING", "UNKNOWN", "DROPPED", "FAILED", "SUCCESS"),
    Column("rank", SmallInteger, CheckConstraint("rank between 0 and 6"), nullable=False),
    # At most ten thousand crore rupees: gateways.cashfree.amounts.
    Column(
        "amount_minor",
        BigInteger,
        CheckConstraint("amount_minor >= 0"),
        CheckConstraint("amount_minor <= 10000000000000"),
    ),
    columns.currency(nullable=True),
    columns.text_or_empty("payment_method"),
    columns.text_or_empty("payment_group"),
    columns.text_or_empty("bank_reference"),
    columns.text_or_empty("reason"),
    columns.moment("created_at"),
    columns.moment("updated_at"),
    # When the gateway's own list showed it so; null: a webhook says it.
    columns.moment("confirmed_at", nullable=True),
    # When its failure was announced to fraud, once.
    columns.moment("failure_announced_at", nullable=True),
    UniqueConstraint("gateway", "gateway_payment_id"),
    Index("payment_attempts_payment", "payment_id"),
    postgresql_with={"fillfactor": 90},
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", Uuid, primary_key=True),
    _payment_id(),
    columns.text_column("merchant_id"),
    columns.text_column("gateway"),
    columns.text_column("provider_transaction_id"),
    columns.text_or_empty("bank_reference"),
    Column("gateway_response", JSONB, nullable=False, server_default=text("'{}'")),
    columns.amount(),
    columns.currency(),
    columns.one_of("status", "CAPTURED", "DUPLICATE", "REFUNDED"),
    Column("created_at", DateTime(timezone=True), CheckConstraint(columns.happened("created_at")), nullable=False),
    # When the gateway's own list showed it; null: the attempt's id was taken from a webhook.
    columns.moment("confirmed_at", nullable=True),
    columns.moment("confirmation_due_at", nullable=True),
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
    columns.text_column("merchant_id"),
    columns.text_column("gateway"),
    Column("gateway_payment_id", Text, CheckConstraint("gateway_payment_id <> ''"), nullable=False),
    columns.one_of("reason", "DUPLICATE", "AMOUNT_MISMATCH", "LATE_SUCCESS", "FLAGGED"),
    columns.amount(),
    columns.currency(),
    Column(
        "applied_minor", BigInteger, CheckConstraint("applied_minor >= 0"), nullable=False, server_default=text("0")
    ),
    Column(
        "refunded_minor", BigInteger, CheckConstraint("refunded_minor >= 0"), nullable=False, server_default=text("0")
    ),
    columns.text_or_empty("gateway_refund_id"),
    columns.text_or_empty("payment_method"),
    columns.text_or_empty("payment_group"),
    columns.text_or_empty("bank_reference"),
    Column("received_at", DateTime(timezone=True), CheckConstraint(columns.happened("received_at")), nullable=False),
    columns.moment("announced_at", nullable=True),
    Column("refund_id", Uuid, ForeignKey("refunds.id", use_alter=True)),
    columns.moment("refund_due_at", nullable=True),
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
    Index("receipts_refund_due", "refund_due_at", postgresql_where=text("refund_due_at is not null")),
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
    columns.text_column("merchant_id"),
    columns.text_column("version"),
    columns.one_of("action", "FULFIL", "REFUND", "REFUNDED", "DISMISS"),
    Column("reason", Text, CheckConstraint("length(reason) between 3 and 500"), nullable=False),
    Column("actor_id", Text, CheckConstraint("actor_id <> ''"), nullable=False),
    Column("receipt_id", Uuid, ForeignKey("receipts.id")),
    columns.text_or_empty("gateway_refund_id"),
    columns.moment("at"),
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
    columns.counter("checks"),
    columns.moment("due_at"),
    Index("closed_checks_due", "due_at"),
)

# The last alert about a type of webhook that no code handles.
unhandled_webhooks = Table(
    "unhandled_webhooks",
    metadata,
    columns.text_column("gateway_account_id"),
    columns.text_column("type"),
    columns.text_column("webhook_id"),
    columns.moment("alerted_at"),
    PrimaryKeyConstraint("gateway_account_id", "type"),
)

invoice_series = Table(
    "invoice_series",
    metadata,
    columns.text_column("merchant_id"),
    columns.text_column("series"),
    Column("last_number", BigInteger, CheckConstraint("last_number >= 0"), nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("merchant_id", "series"),
)

invoices = Table(
    "invoices",
    metadata,
    Column("id", Uuid, primary_key=True),
    _payment_id(unique=True),
    columns.text_column("merchant_id"),
    columns.text_column("user_id"),
    columns.text_column("series"),
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
    columns.amount(),
    columns.currency(),
    columns.amount("net_minor", ">= 0"),
    columns.amount("cgst_minor", ">= 0"),
    columns.amount("sgst_minor", ">= 0"),
    columns.amount("igst_minor", ">= 0"),
    columns.text_column("place_of_supply"),
    columns.moment("issued_at"),
    UniqueConstraint("merchant_id", "series", "number"),
    CheckConstraint(_TAX),
    CheckConstraint(_HALVES),
)

fee_rules = Table(
    "fee_rules",
    metadata,
    columns.text_or_empty("merchant_id"),
    columns.text_or_empty("service_type"),
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
    columns.text_column("gateway"),
    columns.text_column("gateway_account_id"),
    columns.text_column("operation"),
    columns.text_column("order_id"),
    Column("http_status", Integer, nullable=False),
    columns.text_column("outcome"),
    Column("ms", REAL, nullable=False),
    columns.moment("at"),
    Index("gateway_calls_order", "gateway_account_id", "order_id"),
)

settlements = settlement_tables(metadata)

disputes = dispute_tables(metadata)

orders = merchant_order_tables(metadata)

routing_tables(metadata)
batch_tables(metadata)
