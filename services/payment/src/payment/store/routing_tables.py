"""The tables of routing, as SQLAlchemy Core describes them; they belong to the metadata of `tables`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
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


def routing_tables(metadata: MetaData) -> None:
    """Add the tables to *metadata*."""
    Table(
        "routing_versions",
        metadata,
        Column("version", Integer, CheckConstraint("version >= 1"), primary_key=True, autoincrement=False),
        columns.text_column("actor_id"),
        Column("reason", Text, CheckConstraint("reason <> ''"), nullable=False),
        columns.moment("created_at"),
    )
    Table(
        "routing_rules",
        metadata,
        Column("version", Integer, ForeignKey("routing_versions.version"), nullable=False),
        Column("priority", Integer, CheckConstraint("priority >= 0"), nullable=False),
        columns.text_or_empty("merchant_id"),
        columns.text_or_empty("method"),
        Column(
            "currency",
            Text,
            CheckConstraint("currency ~ '^([A-Z]{3})?$'"),
            nullable=False,
            server_default=text("''"),
        ),
        columns.amount_or_zero("amount_min_minor"),
        Column("amount_max_minor", BigInteger, CheckConstraint("amount_max_minor >= amount_min_minor")),
        Column("share_percent", Integer, CheckConstraint("share_percent between 1 and 100"), nullable=False),
        columns.text_or_empty("gateway_account_id"),
        Column("exploration_percent", Integer, CheckConstraint("exploration_percent between 0 and 50"), nullable=False),
        PrimaryKeyConstraint("version", "priority"),
    )
    Table(
        "gateway_accounts",
        metadata,
        Column("id", Uuid, primary_key=True),
        columns.text_column("merchant_id"),
        columns.text_column("gateway"),
        columns.one_of("mode", "live", "test"),
        Column("key_id", Text, CheckConstraint("key_id <> ''"), nullable=False),
        *(_sealed(name) for name in ("key_secret", "webhook_secret")),
        *(_sealed_or_empty(name) for name in ("webhook_secret_before", "contact_phone")),
        columns.moment("webhook_secret_before_until", nullable=True),
        columns.text_or_empty("methods"),
        Column("priority", Integer, CheckConstraint("priority between 0 and 1000"), nullable=False),
        columns.amount_or_zero("amount_min_minor"),
        Column("amount_max_minor", BigInteger, CheckConstraint("amount_max_minor >= amount_min_minor")),
        columns.one_of("status", "ENABLED", "DISABLED"),
        Column("version", Integer, CheckConstraint("version >= 1"), nullable=False),
        columns.moment("created_at"),
        columns.moment("updated_at"),
        UniqueConstraint("merchant_id", "gateway", "key_id"),
        CheckConstraint("(webhook_secret_before = '') = (webhook_secret_before_until is null)"),
    )


def _sealed(name: str) -> Column[str]:
    return Column(name, Text, CheckConstraint(f"{name} like 's1.%'"), nullable=False)


def _sealed_or_empty(name: str) -> Column[str]:
    return Column(
        name,
        Text,
        CheckConstraint(f"{name} = '' or {name} like 's1.%'"),
        nullable=False,
        server_default=text("''"),
    )
