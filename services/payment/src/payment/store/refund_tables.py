"""The tables of refunds, their history and credit notes; store.tables gathers them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from payment.store import columns

_HALVES = "cgst_minor - sgst_minor between 0 and 1"


def refund_tables(metadata: MetaData) -> Table:
    """The table of refunds; the others hang on it."""
    refunds = Table(
        "refunds",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("payment_id", Uuid, ForeignKey("payments.id"), nullable=False),
        Column("merchant_id", Text, nullable=False),
        columns.amount("amount_minor"),
        columns.currency(),
        columns.text_or_empty("reason"),
        columns.one_of("status", "INITIATED", "PROCESSING", "SUCCESS", "FAILED", "REVERSED"),
        columns.text_or_empty("provider_refund_id"),
        Column("retry_count", Integer, CheckConstraint("retry_count >= 0"), nullable=False, server_default=text("0")),
        columns.moment("created_at"),
        columns.moment("updated_at"),
        Column("gateway", Text, nullable=False),
        Column("gateway_payment_id", Text, CheckConstraint("gateway_payment_id <> ''"), nullable=False),
        Column("receipt_id", Uuid, ForeignKey("receipts.id")),
        *(columns.amount(name, ">= 0") for name in ("net_minor", "cgst_minor", "sgst_minor", "igst_minor")),
        columns.amount("credits_paid", ">= 0"),
        columns.amount("credits_bonus", ">= 0"),
        columns.one_of("policy", "BLOCK", "DEBT", "ABSORB"),
        columns.one_of("speed", "STANDARD", "INSTANT"),
        columns.one_of("source", "STAFF", "POLICY", "GATEWAY"),
        Column("requested_by", Text, CheckConstraint("requested_by <> ''"), nullable=False),
        columns.text_or_empty("hold_id"),
        *(columns.amount_or_zero(name) for name in ("value_held_minor", "held_paid", "held_bonus")),
        columns.text_or_empty("returned_payment_id"),
        columns.text_or_empty("bank_reference"),
        columns.text_or_empty("failure_reason"),
        Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
        columns.moment("next_check_at", nullable=True),
        columns.moment("hold_alerted_at", nullable=True),
        Index("refunds_waiting", "created_at", postgresql_where=text("status = 'INITIATED'")),
        Column(
            "succeeded_at",
            DateTime(timezone=True),
            CheckConstraint(
                "succeeded_at >= timestamptz '2000-01-01 00:00:00+00' "
                "and succeeded_at < timestamptz '2100-01-01 00:00:00+00'"
            ),
        ),
        CheckConstraint(
            "net_minor + cgst_minor + sgst_minor + igst_minor"
            " = case when receipt_id is null then amount_minor else 0 end"
        ),
        CheckConstraint(_HALVES),
        CheckConstraint("receipt_id is null or credits_paid + credits_bonus = 0"),
        CheckConstraint("held_paid <= credits_paid and held_bonus <= credits_bonus"),
        CheckConstraint("(status in ('SUCCESS', 'REVERSED')) = (succeeded_at is not null)"),
        Index("refunds_payment", "payment_id"),
        Index("refunds_of_merchants", "merchant_id", "id"),
        Index("refunds_changed", "updated_at", "id"),
        Index("refunds_due", "next_check_at", postgresql_where=text("next_check_at is not null")),
        Index(
            "refunds_of_gateways",
            "gateway",
            "provider_refund_id",
            unique=True,
            postgresql_where=text("provider_refund_id <> ''"),
        ),
        Index(
            "refunds_of_receipts_once",
            "receipt_id",
            unique=True,
            postgresql_where=text("receipt_id is not null and status in ('INITIATED', 'PROCESSING', 'SUCCESS')"),
        ),
    )
    _history(metadata)
    _credit_notes(metadata)
    return refunds


def _history(metadata: MetaData) -> None:
    # The same table of moves as payment.domain.refunds.
    Table(
        "refund_history",
        metadata,
        Column("refund_id", Uuid, ForeignKey("refunds.id"), nullable=False),
        Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
        Column("from_status", Text),
        *(Column(name, Text, nullable=False) for name in ("to_status", "reason", "actor")),
        columns.moment("at"),
        PrimaryKeyConstraint("refund_id", "seq"),
        CheckConstraint("(seq = 1) = (from_status is null)"),
        CheckConstraint(
            """case from_status
            when 'INITIATED' then to_status in ('PROCESSING', 'FAILED')
            when 'PROCESSING' then to_status in ('SUCCESS', 'FAILED')
            when 'SUCCESS' then to_status = 'REVERSED'
            else from_status is null and to_status in ('INITIATED', 'PROCESSING') end""",
            name="refund_history_moves",
        ),
    )


def _credit_notes(metadata: MetaData) -> None:
    Table(
        "credit_notes",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("refund_id", Uuid, ForeignKey("refunds.id"), nullable=False, unique=True),
        Column("payment_id", Uuid, ForeignKey("payments.id"), nullable=False),
        *(Column(name, Text, nullable=False) for name in ("merchant_id", "user_id", "series")),
        Column("number", BigInteger, CheckConstraint("number >= 1"), nullable=False),
        # Rules 46(b) and 53.
        Column(
            "credit_note_number",
            Text,
            CheckConstraint("credit_note_number ~ '^[A-Z1-9][A-Z0-9/-]{0,15}$'"),
            nullable=False,
        ),
        columns.amount("amount_minor"),
        columns.currency(),
        *(columns.amount(name, ">= 0") for name in ("net_minor", "cgst_minor", "sgst_minor", "igst_minor")),
        Column("place_of_supply", Text, nullable=False),
        columns.moment("issued_at"),
        UniqueConstraint("merchant_id", "series", "number"),
        CheckConstraint("net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor"),
        CheckConstraint(_HALVES),
        Index("credit_notes_payment", "payment_id"),
    )
