"""The table of merchants' orders, as SQLAlchemy Core describes it; it belongs to the metadata of `tables`."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from payment.store import columns


def merchant_order_tables(metadata: MetaData) -> Table:
    """Add the table to *metadata*; it is read by composed statements."""
    return Table(
        "orders",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("merchant_id", Text, CheckConstraint("merchant_id <> ''"), nullable=False),
        columns.text_or_empty("user_id"),
        columns.amount(),
        columns.currency(),
        Column("receipt", Text, CheckConstraint("length(receipt) <= 64"), nullable=False, server_default=text("''")),
        Column(
            "notes",
            JSONB,
            CheckConstraint("jsonb_typeof(notes) = 'object'"),
            nullable=False,
            server_default=text("'{}'"),
        ),
        columns.one_of("status", "CREATED", "ATTEMPTED", "PAID", default="CREATED"),
        Column("payment_id", Uuid, ForeignKey("payments.id"), unique=True),
        columns.moment("created_at"),
        columns.moment("updated_at"),
        CheckConstraint("(status = 'PAID') = (payment_id is not null)"),
        Index("orders_of_merchant", "merchant_id", "id"),
    )
