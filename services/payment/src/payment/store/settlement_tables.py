"""The tables of settlements, as SQLAlchemy Core describes them; they belong to the metadata of `tables`."""

from sqlalchemy import (
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
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

_HAPPENED = "{0} >= timestamptz '2000-01-01 00:00:00+00' and {0} < timestamptz '2100-01-01 00:00:00+00'"
_STATUS = ("PENDING", "SETTLED", "ON_HOLD", "REVERSED")


def settlement_tables(metadata: MetaData) -> Table:
    """Add the tables to *metadata*; the one of settlements is read by composed statements."""
    settlements = Table(
        "settlements",
        metadata,
        Column("id", Uuid, primary_key=True),
        _text("gateway"),
        _text("gateway_account_id"),
        _text("merchant_id"),
        Column("gateway_settlement_id", Text, CheckConstraint("gateway_settlement_id <> ''"), nullable=False),
        _text_or_empty("utr"),
        _one_of("status", *_STATUS),
        _currency(),
        *(_figure(f"{name}_minor") for name in ("gross", "fee", "fee_tax", "adjustment", "net")),
        *(_figure(f"booked_{name}_minor", default=True) for name in ("gross", "fee", "fee_tax", "adjustment", "net")),
        Column("settled_at", DateTime(timezone=True), CheckConstraint(_HAPPENED.format("settled_at"))),
        Column("seq", Integer, CheckConstraint("seq >= 1"), nullable=False),
        _flag("rows_due"),
        _text_or_empty("rows_cursor"),
        _flag("payments_due"),
        Column("unreadable", Integer, CheckConstraint("unreadable >= 0"), nullable=False, server_default=text("0")),
        _moment("imported_at"),
        _moment("updated_at"),
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
        _one_of("kind", "PAYMENT", "REFUND", "DISPUTE", "ADJUSTMENT"),
        Column("payment_id", Uuid, ForeignKey("payments.id")),
        *(_text_or_empty(name) for name in ("order_id", "gateway_payment_id", "reference")),
        *(_figure(f"{name}_minor") for name in ("amount", "fee", "fee_tax", "net")),
        _currency(),
        Column("event_at", DateTime(timezone=True), CheckConstraint(_HAPPENED.format("event_at"))),
        _text_or_empty("utr"),
        _one_of("applied_status", "", *_STATUS, default=""),
        _moment("imported_at"),
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
        _text("row_id"),
        _text("shown"),
        _moment("seen_at"),
        PrimaryKeyConstraint("settlement_id", "row_id"),
    )
    Table(
        "settlement_imports",
        metadata,
        Column("gateway_account_id", Text, primary_key=True),
        Column("window_first", Date, nullable=False),
        Column("window_last", Date, CheckConstraint("window_last >= window_first"), nullable=False),
        _text_or_empty("cursor"),
        _moment("due_at"),
        _moment("leased_until", nullable=True),
        _moment("completed_at", nullable=True),
    )
    return settlements


def _settlement_id() -> Column[object]:
    return Column("settlement_id", Uuid, ForeignKey("settlements.id"), nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _text_or_empty(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text("''"))


def _one_of(name: str, *values: str, default: str | None = None) -> Column[str]:
    listed = ", ".join(f"'{value}'" for value in values)
    server_default = None if default is None else text(f"'{default}'")
    return Column(name, Text, CheckConstraint(f"{name} in ({listed})"), nullable=False, server_default=server_default)


def _figure(name: str, *, default: bool = False) -> Column[int]:
    """Minor units, below zero as well."""
    return Column(name, BigInteger, nullable=False, server_default=text("0") if default else None)


def _currency() -> Column[str]:
    return Column("currency", Text, CheckConstraint("currency ~ '^[A-Z]{3}$'"), nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text("true"))


def _moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)
