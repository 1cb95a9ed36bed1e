"""The tables of disputes, as SQLAlchemy Core describes them; they belong to the metadata of `tables`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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

_OPEN = "status in ('OPEN', 'UNDER_REVIEW')"


def dispute_tables(metadata: MetaData) -> Table:
    """Add the tables to *metadata*; the one of disputes is read by composed statements."""
    disputes = Table(
        "disputes",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("payment_id", Uuid, ForeignKey("payments.id"), nullable=False),
        Column("merchant_id", Text, nullable=False),
        Column("gateway_account_id", Text, nullable=False),
        Column("gateway_dispute_id", Text, CheckConstraint("gateway_dispute_id <> ''"), nullable=False),
        Column("round", Integer, CheckConstraint("round >= 1"), nullable=False),
        columns.one_of("status", "OPEN", "UNDER_REVIEW", "WON", "LOST"),
        columns.one_of("announced", "NONE", "DISPUTED", "WON", "LOST", default="NONE"),
        Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0"), nullable=False),
        Column("currency", Text, CheckConstraint("currency ~ '^[A-Z]{3}$'"), nullable=False),
        *(
            Column(name, BigInteger, CheckConstraint(f"{name} >= 0"), nullable=False)
            for name in ("net_minor", "cgst_minor", "sgst_minor", "igst_minor", "credits_paid", "credits_bonus")
        ),
        columns.text_or_empty("reason_code"),
        columns.moment("respond_by", nullable=True),
        columns.moment("gateway_updated_at", nullable=True),
        columns.text_or_empty("status_before"),
        columns.text_or_empty("hold_id"),
        columns.amount_or_zero("value_held"),
        columns.amount_or_zero("fee_minor"),
        columns.moment("deadline_alerted_at", nullable=True),
        Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
        columns.moment("created_at"),
        columns.moment("updated_at"),
        UniqueConstraint("gateway_account_id", "gateway_dispute_id", "round"),
        CheckConstraint("net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor"),
        CheckConstraint("announced not in ('WON', 'LOST') or announced = status"),
        CheckConstraint("hold_id = '' or announced <> 'NONE'"),
        Index("disputes_payment", "payment_id"),
        Index("disputes_changed", "updated_at", "id"),
        columns.moment("hold_alerted_at", nullable=True),
        Index("disputes_of_merchant", "merchant_id", "id"),
        Index("disputes_waiting", "created_at", postgresql_where=text("announced = 'NONE'")),
        Index(
            "disputes_deadline",
            "respond_by",
            postgresql_where=text("status = 'OPEN' and deadline_alerted_at is null"),
        ),
        Index(
            "disputes_open_once",
            "gateway_account_id",
            "gateway_dispute_id",
            unique=True,
            postgresql_where=text(_OPEN),
        ),
    )
    Table(
        "dispute_history",
        metadata,
        _dispute_id(),
        Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
        Column("from_status", Text),
        Column("to_status", Text, nullable=False),
        columns.moment("at"),
        PrimaryKeyConstraint("dispute_id", "seq"),
        CheckConstraint("(seq = 1) = (from_status is null)"),
        CheckConstraint(
            """case from_status
            when 'OPEN' then to_status in ('UNDER_REVIEW', 'WON', 'LOST')
            when 'UNDER_REVIEW' then to_status in ('OPEN', 'WON', 'LOST')
            else from_status is null end""",
            name="dispute_history_moves",
        ),
    )
    Table(
        "dispute_evidence",
        metadata,
        Column("id", Uuid, primary_key=True),
        _dispute_id(),
        Column("note", Text, CheckConstraint("length(note) between 3 and 500"), nullable=False),
        Column(
            "file_reference",
            Text,
            CheckConstraint("length(file_reference) <= 500"),
            nullable=False,
            server_default=text("''"),
        ),
        Column("actor_id", Text, CheckConstraint("actor_id <> ''"), nullable=False),
        columns.moment("at"),
        UniqueConstraint("dispute_id", "note", "file_reference"),
    )
    Table(
        "dispute_checks",
        metadata,
        Column("payment_id", Uuid, ForeignKey("payments.id"), primary_key=True),
        columns.moment("due_at"),
        Index("dispute_checks_due", "due_at"),
    )
    return disputes


def _dispute_id() -> Column[object]:
    return Column("dispute_id", Uuid, ForeignKey("disputes.id"), nullable=False)
