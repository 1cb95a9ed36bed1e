"""The tables of batches of payments, as SQLAlchemy Core describes them; they belong to the metadata of `tables`."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    Uuid,
)

from payment.store import columns


def batch_tables(metadata: MetaData) -> None:
    """Add the tables to *metadata*."""
    Table(
        "payment_batches",
        metadata,
        Column("id", Uuid, primary_key=True),
        columns.text_column("merchant_id"),
        columns.text_or_empty("user_id"),
        columns.moment("created_at"),
    )
    Table(
        "payment_batch_items",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("batch_id", Uuid, ForeignKey("payment_batches.id"), nullable=False),
        Column("position", Integer, CheckConstraint("position between 0 and 499"), nullable=False),
        columns.one_of("status", "PENDING", "CREATED", "REFUSED", default="PENDING"),
        columns.text_or_empty("payment_id"),
        columns.text_or_empty("error_code"),
        columns.moment("updated_at"),
        UniqueConstraint("batch_id", "position"),
        CheckConstraint("(status = 'CREATED') = (payment_id <> '')"),
        CheckConstraint("(status = 'REFUSED') = (error_code <> '')"),
    )
