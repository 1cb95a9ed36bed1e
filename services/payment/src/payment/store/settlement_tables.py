"""The tables of settlements, as SQLAlchemy Core describes them; they belong to the metadata of `tables`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
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

_STATUS = ("PENDING", "SETTLED", "ON_HOLD", "REVERSED")


def settlement_tables(metadata: MetaData) -> Table:
    """Add the tables to *metadata*; the one of settlements is read by composed statements."""
    settlements = Table(
        "settlements",
        metadata,
        Column("id", Uuid, primary_key=True),
        columns.text_column("gateway"),
        columns.text_column("gateway_account_id"),
        columns.text_column("merchant_id"),
        Column("gateway_settlement_id", Text, CheckConstraint("gateway_settlement_id <> ''"), nullable=False),
        columns.text_or_empty("utr"),
        columns.one_of("status", *_STATUS),
        columns.currency(),
        *(_figure(f"{name}_minor") for name in ("gross", "fee", "fee_tax", "adjustment", "net")),
        *(_figure(f"booked_{name}_minor", default=True) for name in ("gross", "fee", "fee_tax", "adjustment", "net")),
        Column("settled_at", DateTime(timezone=True), CheckConstraint(columns.happened("settled_at"))),
        Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
        columns.flag("rows_due", "true"),
        columns.text_or_empty("rows_cursor"),
        columns.flag("payments_due", "true"),
        Column("unreadable", Integer, CheckConstraint("unreadable >= 0"), nullable=False, server_default=text("0")),
        columns.moment("imported_at"),
        columns.moment("updated_at"),
        UniqueConstraint("gateway_account_id", "gateway_settlement_id"),
        CheckConstraint("gross_minor = net_minor + fee_minor + fee_tax_minor + adjustment_minor"),
        CheckConstraint(
            "booked_gross_minor = booked_net_minor + booked_fee_minor + booked_fee_tax_minor + booked_adjustment_minor"
        ),
        Index("settlements_rows_due", "gateway_account_id", "id", postgresql_where=text("rows_due")),
        Index("settlements_payments_due", "gateway_account_id", "id", postgresql_where=text("payments_due")),
        Index("settlements_changed", "updated_at", "id"),
        Index("settlements_of_merchant", "merchant_id", "id"),
    )
    Table(
        "settlement_rows",
        metadata,
        Column("id", Uuid, primary_key=True),
        _settlement_id(),
        Column("row_id", Text, CheckConstraint("row_id <> ''"), nullable=False),
        columns.one_of("kind", "PAYMENT", "REFUND", "DISPUTE", "ADJUSTMENT"),
        Column("payment_id", Uuid, ForeignKey("payments.id")),
        *(columns.text_or_empty(name) for name in ("order_id", "gateway_payment_id", "reference")),
        *(_figure(f"{name}_minor") for name in ("amount", "fee", "fee_tax", "net")),
        columns.currency(),
        Column("event_at", DateTime(timezone=True), CheckConstraint(columns.happened("event_at"))),
        columns.text_or_empty("utr"),
        columns.one_of("applied_status", "", *_STATUS, default=""),
        columns.moment("imported_at"),
        UniqueConstraint("settlement_id", "row_id"),
        CheckConstraint("amount_minor = net_minor + fee_minor + fee_tax_minor"),
        Index("settlement_rows_payment", "payment_id", postgresql_where=text("payment_id is not null")),
        Index(
            "settlement_rows_to_apply",
            "settlement_id",
            "applied_status",
            postgresql_where=text("kind = 'PAYMENT' and payment_id is not null"),
        ),
    )
    Table(
        "settlement_conflicts",
        metadata,
        _settlement_id(),
        columns.text_column("row_id"),
        columns.text_column("shown"),
        columns.moment("seen_at"),
        PrimaryKeyConstraint("settlement_id", "row_id"),
    )
    Table(
        "settlement_imports",
        metadata,
        Column("gateway_account_id", Text, primary_key=True),
        Column("window_first", Date, nullable=False),
        Column("window_last", Date, CheckConstraint("window_last >= window_first"), nullable=False),
        columns.text_or_empty("cursor"),
        columns.moment("due_at"),
        columns.moment("leased_until", nullable=True),
        columns.moment("completed_at", nullable=True),
    )
    return settlements


def _settlement_id() -> Column[object]:
    return Column("settlement_id", Uuid, ForeignKey("settlements.id"), nullable=False)


def _figure(name: str, *, default: bool = False) -> Column[int]:
    """Minor units, below zero as well."""
    return Column(name, BigInteger, nullable=False, server_default=text("0") if default else None)
