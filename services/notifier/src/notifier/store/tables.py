"""The tables as the migrations make them; a test compares both."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from notifier.store.webhook_tables import add_webhook_tables

metadata = MetaData()

emails = Table(
    "emails",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text(collation="C"), nullable=False, unique=True),
    Column("template", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("payment_id", Uuid),
    Column("order_id", Text, nullable=False),
    # Sealed; recipient_index finds it, without regard to case.
    Column("recipient", Text, nullable=False),
    Column("status", Text, CheckConstraint("status in ('QUEUED', 'SENT', 'FAILED', 'SUPPRESSED')"), nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, CheckConstraint("attempts >= 0"), nullable=False, server_default=text("0")),
    Column("message_id", Text, nullable=False),
    Column("provider_code", Integer),
    Column("queued_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("recipient_index", LargeBinary, CheckConstraint("octet_length(recipient_index) = 32")),
    CheckConstraint("(status = 'QUEUED') = (finished_at is null)"),
    CheckConstraint("status not in ('FAILED', 'SUPPRESSED') or reason is not null"),
    postgresql_with={"fillfactor": 75},
)
Index("emails_by_recipient", emails.c.recipient_index, postgresql_where=emails.c.recipient_index.is_not(None))
Index("emails_by_payment", emails.c.payment_id, postgresql_where=emails.c.payment_id.is_not(None))

suppressions = Table(
    "suppressions",
    metadata,
    # Sealed, or in lower case as an operator entered it.
    Column("address", Text(collation="C"), nullable=False, unique=True),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("address_index", LargeBinary, CheckConstraint("octet_length(address_index) = 32"), unique=True),
)

alert_digests = Table(
    "alert_digests",
    metadata,
    Column("cause", Text(collation="C"), primary_key=True),
    Column("closes_at", DateTime(timezone=True)),
    Column("pending", Integer, CheckConstraint("pending >= 0"), nullable=False, server_default=text("0")),
    Column("samples", JSONB, nullable=False, server_default=text("'[]'")),
    Column("mails", Integer, nullable=False, server_default=text("0")),
    Column("total", BigInteger, nullable=False, server_default=text("0")),
)
Index("alert_digests_open", alert_digests.c.closes_at, postgresql_where=alert_digests.c.closes_at.is_not(None))

add_webhook_tables(metadata)
