"""The tables of the books as SQLAlchemy Core describes them; a test compares this with what the migrations make."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
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
from sqlalchemy.types import UserDefinedType

from common import approvals

metadata = MetaData()


class TransactionId(UserDefinedType[int]):
    """The id of a database transaction, which never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


_TIME = DateTime(timezone=True)


def _xid() -> Column[int]:
    """Which transaction booked the row. What is below the oldest running one can no longer change, which is how
    snapshots know where they may cut."""
    return Column("xid", TransactionId, nullable=False, server_default=text("pg_current_xact_id()"))


def _epoch() -> Column[int]:
    """Which cluster's transaction ids the row's is one of (ledger_epochs). `begin_epoch` changes the default."""
    return Column("epoch", SmallInteger, nullable=False, server_default=text("1"))


accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Integer, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False, unique=True),
    Column("asset", Text, CheckConstraint("asset in ('INR', 'CREDIT')"), nullable=False),
    Column("kind", Text, CheckConstraint("kind in ('asset', 'liability', 'revenue', 'expense')"), nullable=False),
    Column(
        "normal_side",
        Text,
        CheckConstraint("normal_side = case when kind in ('asset', 'expense') then 'debit' else 'credit' end"),
        nullable=False,
    ),
)

journals = Table(
    "journals",
    metadata,
    Column("journal_id", Uuid, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("asset", Text, CheckConstraint("asset in ('INR', 'CREDIT')"), nullable=False),
    Column("cause_id", Uuid, nullable=False),
    Column("reference_prefix", Text, nullable=False),
    Column("reference", Uuid, nullable=False),
    # The payment behind the reference, when it is not the reference itself.
    Column("payment_id", Uuid),
    # How many entries the journal has: the trigger holds it to that, so nothing can be added later.
    Column("lines", SmallInteger, CheckConstraint("lines >= 2"), nullable=False),
    Column("effective_at", _TIME, nullable=False),
    Column("booked_at", _TIME, nullable=False, server_default=text("now()")),
    Column("reverses", Uuid),
    _xid(),
    # Who acted; empty in journals from before it was kept.
    Column("actor_id", Text, nullable=False, server_default=text("''")),
    _epoch(),
    # Whose wallet or payment it is about; empty in journals from before it was kept, and in those about none.
    Column("owner_id", Text, nullable=False, server_default=text("''")),
    # Why, of what a person posted.
    Column("reason", Text, nullable=False, server_default=text("''")),
    # When it counts, if its own date was in a closed period.
    Column("accounted_at", _TIME),
    # Posted once per cause.
    UniqueConstraint("cause_id", "template"),
    CheckConstraint("reverses <> journal_id"),
    # A journal about a wallet transaction is found by its cause, which has the same id.
    Index("journals_reference", "reference", postgresql_where=text("reference <> cause_id")),
    Index("journals_payment", "payment_id", postgresql_where=text("payment_id is not null")),
    Index("journals_xid", "xid"),
    # Rows come nearly in the order of this time: an index that costs posters next to nothing.
    Index("journals_effective", "effective_at", postgresql_using="brin", postgresql_with={"pages_per_range": 32}),
    Index("journals_accounted", "accounted_at", postgresql_where=text("accounted_at is not null")),
    # Reversed at most once.
    Index("journals_reverses", "reverses", unique=True, postgresql_where=text("reverses is not null")),
)

# No foreign keys: the trigger checks journals and accounts for the whole statement at once, which a foreign key would
# do row by row.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("journal_id", Uuid, nullable=False),
    Column("line", SmallInteger, CheckConstraint("line >= 1"), nullable=False),
    Column("account_id", Integer, nullable=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    _xid(),
    PrimaryKeyConstraint("journal_id", "line"),
    CheckConstraint("(debit > 0 and credit = 0) or (debit = 0 and credit > 0)"),
)

# Sums of everything booked by transactions below `horizon`: computed from the book, and may be dropped at any time.
balance_snapshots = Table(
    "balance_snapshots",
    metadata,
    Column("horizon", TransactionId, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.account_id"), nullable=False, autoincrement=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    PrimaryKeyConstraint("horizon", "merchant_id", "account_id"),
)

journal_snapshots = Table(
    "journal_snapshots",
    metadata,
    Column("horizon", TransactionId, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("journals", BigInteger, nullable=False),
    PrimaryKeyConstraint("horizon", "merchant_id", "template"),
)

audit_logs = Table(
    "audit_logs",
    metadata,
    # The event's own id: the same action announced twice is kept once.
    Column("audit_id", Uuid, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("actor_id", Text),
    Column("action", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("before_state", JSONB),
    Column("after_state", JSONB),
    # Both sealed under the actor's key.
    Column("ip_address", Text),
    Column("user_agent", Text),
    Column("trace_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("correlation_id", Text, nullable=False, server_default=text("''")),
    Column("service", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("recorded_at", _TIME, nullable=False, server_default=text("now()")),
    _xid(),
    _epoch(),
    Index("audit_logs_xid", "xid"),
    # The id is in order of time.
    Index("audit_logs_resource", "resource_id", "audit_id"),
    Index("audit_logs_actor", "actor_id", "audit_id", postgresql_where=text("actor_id is not null")),
)

ledger_epochs = Table(
    "ledger_epochs",
    metadata,
    Column("epoch", SmallInteger, CheckConstraint("epoch >= 1"), primary_key=True, autoincrement=False),
    # The cluster's system identifier.
    Column("cluster", Text, CheckConstraint("cluster <> ''"), nullable=False),
    Column("began_at", _TIME, nullable=False, server_default=text("now()")),
)

# The hash chain: what the transactions of a range booked. Leaves are digests of rows (domain/blocks.py).
ledger_blocks = Table(
    "ledger_blocks",
    metadata,
    Column("height", BigInteger, CheckConstraint("height >= 1"), primary_key=True, autoincrement=False),
    Column("epoch", SmallInteger, ForeignKey("ledger_epochs.epoch"), nullable=False),
    Column("previous", LargeBinary, CheckConstraint("octet_length(previous) = 32"), nullable=False),
    Column("head", LargeBinary, CheckConstraint("octet_length(head) = 32"), nullable=False, unique=True),
    Column("xid_from", TransactionId, nullable=False),
    Column("xid_to", TransactionId, nullable=False),
    Column("journals", Integer, CheckConstraint("journals >= 0"), nullable=False),
    Column("entries", Integer, CheckConstraint("entries >= 0"), nullable=False),
    Column("audit_entries", Integer, CheckConstraint("audit_entries >= 0"), nullable=False),
    Column("journal_leaves", LargeBinary, nullable=False),
    Column("audit_leaves", LargeBinary, nullable=False),
    Column("sealed_at", _TIME, nullable=False),
    Column("signature", LargeBinary, CheckConstraint("octet_length(signature) = 64"), nullable=False),
    Column("key_id", Text, nullable=False),
    CheckConstraint("octet_length(audit_leaves) = 48 * audit_entries"),
    CheckConstraint("xid_from < xid_to"),
)

# Blocks whose head was written outside the database.
anchored_blocks = Table(
    "anchored_blocks",
    metadata,
    Column("height", BigInteger, ForeignKey("ledger_blocks.height"), primary_key=True, autoincrement=False),
    Column("anchored_at", _TIME, nullable=False, server_default=text("now()")),
)

closed_periods = Table(
    "closed_periods",
    metadata,
    Column("merchant_id", Text, nullable=False),
    # What is accounted for before it can no longer change.
    Column("closed_until", _TIME, nullable=False),
    Column("closed_at", _TIME, nullable=False),
    Column("closed_by", Text, CheckConstraint("closed_by <> ''"), nullable=False),
    Column("reason", Text, CheckConstraint("reason <> ''"), nullable=False),
    PrimaryKeyConstraint("merchant_id", "closed_until"),
    CheckConstraint("closed_until <= closed_at"),
)

# The balances at the end of a closed period: derived, and final.
closing_balances = Table(
    "closing_balances",
    metadata,
    Column("merchant_id", Text, nullable=False),
    Column("closed_until", _TIME, nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.account_id"), nullable=False, autoincrement=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    PrimaryKeyConstraint("merchant_id", "closed_until", "account_id"),
    ForeignKeyConstraint(
        ["merchant_id", "closed_until"], ["closed_periods.merchant_id", "closed_periods.closed_until"]
    ),
)

account_freezes = Table(
    "account_freezes",
    metadata,
    Column("freeze_id", Uuid, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.account_id"), nullable=False, autoincrement=False),
    Column("frozen_at", _TIME, nullable=False),
    Column("frozen_by", Text, CheckConstraint("frozen_by <> ''"), nullable=False),
    Column("reason", Text, CheckConstraint("reason <> ''"), nullable=False),
    Column("unfrozen_at", _TIME),
    Column("unfrozen_by", Text),
    Column("unfreeze_reason", Text),
    CheckConstraint(
        "(unfrozen_at is null) = (unfrozen_by is null) and (unfrozen_at is null) = (unfreeze_reason is null)"
    ),
    Index(
        "account_freezes_open", "merchant_id", "account_id", unique=True, postgresql_where=text("unfrozen_at is null")
    ),
)

# Journals that a person proposed and another posts; by the proposer's key, once.
manual_batches = Table(
    "manual_batches",
    metadata,
    Column("batch_id", Uuid, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_at", _TIME, nullable=False),
    UniqueConstraint("merchant_id", "key"),
)
approvals.table(metadata)

# The keys under which the audit log seals where its actors were; sealed themselves, and empty once destroyed.
subject_keys = Table(
    "subject_keys",
    metadata,
    Column("subject", Text(collation="C"), primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=text("now()")),
    Column("destroyed_at", _TIME),
    CheckConstraint("(octet_length(key) = 0) = (destroyed_at is not null)"),
)
