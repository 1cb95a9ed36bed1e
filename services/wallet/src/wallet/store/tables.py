"""The wallet's tables as SQLAlchemy Core describes them; a test compares this with what the migrations make."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
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

from common import checkpoints

metadata = MetaData()

checkpoints.table(metadata)

# Ids and keys compare byte by byte: that is what they are, and it is several times faster.
_ID = Text(collation="C")
_TIME = DateTime(timezone=True)
_ZERO = text("0")

packs = Table(
    "packs",
    metadata,
    Column("merchant_id", _ID, nullable=False),
    Column("pack_id", _ID, nullable=False),
    Column("version", Integer, CheckConstraint("version > 0"), autoincrement=False, nullable=False),
    Column("name", Text, nullable=False),
    Column("price_minor", BigInteger, CheckConstraint("price_minor > 0"), nullable=False),
    Column("currency", Text, CheckConstraint("currency ~ '^[A-Z]{3}$'"), nullable=False),
    Column("credits_paid", BigInteger, CheckConstraint("credits_paid > 0"), nullable=False),
    Column("credits_bonus", BigInteger, CheckConstraint("credits_bonus >= 0"), nullable=False, server_default=_ZERO),
    Column("active_from", _TIME, nullable=False, server_default=text("now()")),
    Column("active_to", _TIME),
    CheckConstraint("active_to > active_from"),
    PrimaryKeyConstraint("merchant_id", "pack_id", "version"),
    Index("packs_on_sale", "merchant_id", "pack_id", unique=True, postgresql_where=text("active_to is null")),
)

wallets = Table(
    "wallets",
    metadata,
    Column("wallet_id", Uuid, primary_key=True),
    Column("merchant_id", _ID, nullable=False),
    Column("owner_kind", _ID, CheckConstraint("owner_kind in ('USER', 'COMMUNITY', 'PLATFORM')"), nullable=False),
    Column("owner_id", _ID, nullable=False),
    Column("currency", Text, CheckConstraint("currency ~ '^[A-Z]{3}$'"), nullable=False),
    Column("available", BigInteger, CheckConstraint("available >= 0"), nullable=False, server_default=_ZERO),
    Column("locked", BigInteger, CheckConstraint("locked >= 0"), nullable=False, server_default=_ZERO),
    Column("pending", BigInteger, CheckConstraint("pending >= 0"), nullable=False, server_default=_ZERO),
    Column(
        "lifetime_purchased",
        BigInteger,
        CheckConstraint("lifetime_purchased >= 0"),
        nullable=False,
        server_default=_ZERO,
    ),
    Column("seq", BigInteger, CheckConstraint("seq >= 0"), nullable=False, server_default=_ZERO),
    Column("debt", BigInteger, CheckConstraint("debt >= 0"), nullable=False, server_default=_ZERO),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    # The most telling column first: one comparison per step down the tree.
    UniqueConstraint("owner_id", "owner_kind", "merchant_id"),
    # No index on anything that moves and room on the page: a changed balance is a HOT update, which touches no index.
    postgresql_with={"fillfactor": 60, "autovacuum_vacuum_scale_factor": 0.05},
)

credit_lots = Table(
    "credit_lots",
    metadata,
    Column("lot_id", Uuid, primary_key=True),
    Column("wallet_id", Uuid, ForeignKey("wallets.wallet_id"), nullable=False),
    Column("kind", _ID, CheckConstraint("kind in ('BONUS', 'PAID')"), nullable=False),
    Column("payment_id", Uuid),
    Column("granted", BigInteger, CheckConstraint("granted > 0"), nullable=False),
    Column("remaining", BigInteger, CheckConstraint("remaining between 0 and granted"), nullable=False),
    Column("value_minor", BigInteger, CheckConstraint("value_minor >= 0"), nullable=False),
    Column(
        "value_left_minor", BigInteger, CheckConstraint("value_left_minor between 0 and value_minor"), nullable=False
    ),
    Column("priority", Integer, nullable=False, server_default=_ZERO),
    Column("expires_at", _TIME),
    Column("created_at", _TIME, nullable=False),
    Column("is_open", Boolean, Computed("remaining > 0", persisted=True), nullable=False),
    # What holds took out of it, so that no hold can give back more, or twice.
    Column("held", BigInteger, CheckConstraint("held >= 0"), nullable=False, server_default=_ZERO),
    Column(
        "held_value_minor", BigInteger, CheckConstraint("held_value_minor >= 0"), nullable=False, server_default=_ZERO
    ),
    # Of a lot that grants consumed credits again: their hold.
    Column("regrant_hold_id", Uuid),
    CheckConstraint("remaining + held <= granted"),
    CheckConstraint("value_left_minor + held_value_minor <= value_minor"),
    CheckConstraint("held > 0 or held_value_minor = 0"),
    CheckConstraint("remaining > 0 or value_left_minor = 0"),
    CheckConstraint("remaining < granted or value_left_minor = value_minor"),
    # `is_open` and not `remaining` is what the index looks at, so that burning a part of a lot stays a HOT update too.
    Index(
        "credit_lots_in_burn_order",
        "wallet_id",
        "priority",
        "expires_at",
        "kind",
        "lot_id",
        postgresql_where=text("is_open"),
    ),
    Index("credit_lots_of_payment", "payment_id", postgresql_where=text("payment_id is not null")),
    postgresql_with={"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.05},
)

wallet_transactions = Table(
    "wallet_transactions",
    metadata,
    Column("transaction_id", Uuid, primary_key=True),
    # No foreign key: the row is written under the wallet's own lock, and wallets are never deleted.
    Column("wallet_id", Uuid, nullable=False),
    Column("seq", BigInteger, CheckConstraint("seq > 0"), nullable=False),
    Column("merchant_id", _ID, nullable=False),
    Column(
        "type",
        _ID,
        CheckConstraint("type in ('GRANT', 'CONSUME', 'LOCK', 'RELEASE', 'REFUND', 'DEBT')"),
        nullable=False,
    ),
    Column("credits", BigInteger, nullable=False),
    Column("credits_paid", BigInteger, nullable=False),
    Column("credits_bonus", BigInteger, nullable=False),
    Column("value_minor", BigInteger, CheckConstraint("value_minor >= 0"), nullable=False),
    Column("balance_before", BigInteger, CheckConstraint("balance_before >= 0"), nullable=False),
    Column("balance_after", BigInteger, CheckConstraint("balance_after >= 0"), nullable=False),
    Column("source", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("operation_key", _ID, nullable=False),
    # Which lots paid, with how many credits of what value: three arrays of one length.
    Column("burnt_lots", ARRAY(Uuid)),
    Column("burnt_credits", ARRAY(BigInteger)),
    Column("burnt_value", ARRAY(BigInteger)),
    Column("created_at", _TIME, nullable=False),
    UniqueConstraint("wallet_id", "seq", name="wallet_transactions_seq"),
    CheckConstraint("balance_after = balance_before + credits"),
    CheckConstraint("credits = credits_paid + credits_bonus"),
    # What it changed the locked credits and the debt by.
    Column("locked", BigInteger, nullable=False, server_default=_ZERO),
    Column("debt", BigInteger, nullable=False, server_default=_ZERO),
    CheckConstraint("locked = 0 or type in ('LOCK', 'RELEASE', 'REFUND')"),
    CheckConstraint("type not in ('LOCK', 'RELEASE') or locked = -credits"),
    CheckConstraint("debt = 0 or type = 'REFUND' and debt > 0 or type = 'DEBT' and debt < 0"),
)

operation_keys = Table(
    "operation_keys",
    metadata,
    Column("operation_key", _ID, nullable=False),
    Column("merchant_id", _ID, nullable=False),
    Column("transaction_id", Uuid, nullable=False),
    PrimaryKeyConstraint("operation_key", "merchant_id"),
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Uuid, primary_key=True),
    Column("wallet_id", Uuid, ForeignKey("wallets.wallet_id"), nullable=False),
    Column("merchant_id", _ID, nullable=False),
    Column("operation_key", _ID, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("policy", _ID, CheckConstraint("policy in ('BLOCK', 'DEBT', 'ABSORB')"), nullable=False),
    # Held, and what of the request was spent.
    Column("credits_paid", BigInteger, CheckConstraint("credits_paid >= 0"), nullable=False),
    Column("credits_bonus", BigInteger, CheckConstraint("credits_bonus >= 0"), nullable=False),
    Column("missing_paid", BigInteger, CheckConstraint("missing_paid >= 0"), nullable=False),
    Column("missing_bonus", BigInteger, CheckConstraint("missing_bonus >= 0"), nullable=False),
    Column("value_paid_minor", BigInteger, CheckConstraint("value_paid_minor >= 0"), nullable=False),
    Column("value_bonus_minor", BigInteger, CheckConstraint("value_bonus_minor >= 0"), nullable=False),
    Column("state", _ID, CheckConstraint("state in ('HELD', 'CONSUMED', 'RELEASED', 'REGRANTED')"), nullable=False),
    # The LOCK, which says which lots it took from.
    Column("transaction_id", Uuid),
    Column("created_at", _TIME, nullable=False),
    Column("changed_at", _TIME, nullable=False),
    CheckConstraint("credits_paid + credits_bonus + missing_paid + missing_bonus > 0"),
    CheckConstraint("policy <> 'BLOCK' or missing_paid + missing_bonus = 0"),
    CheckConstraint("(transaction_id is null) = (credits_paid + credits_bonus = 0)"),
    UniqueConstraint("operation_key", "merchant_id"),
    Index("holds_of_payment", "payment_id"),
    Index("holds_open", "wallet_id", postgresql_where=text("state = 'HELD'")),
)

debts = Table(
    "debts",
    metadata,
    Column("hold_id", Uuid, ForeignKey("holds.hold_id"), primary_key=True),
    Column("wallet_id", Uuid, ForeignKey("wallets.wallet_id"), nullable=False),
    Column("credits", BigInteger, CheckConstraint("credits > 0"), nullable=False),
    Column("settled_paid", BigInteger, CheckConstraint("settled_paid >= 0"), nullable=False, server_default=_ZERO),
    Column("settled_bonus", BigInteger, CheckConstraint("settled_bonus >= 0"), nullable=False, server_default=_ZERO),
    Column("forgiven", BigInteger, CheckConstraint("forgiven >= 0"), nullable=False, server_default=_ZERO),
    Column("created_at", _TIME, nullable=False),
    Column(
        "is_open",
        Boolean,
        Computed("settled_paid + settled_bonus + forgiven < credits", persisted=True),
        nullable=False,
    ),
    CheckConstraint("settled_paid + settled_bonus + forgiven <= credits"),
    Index("debts_open", "wallet_id", "hold_id", postgresql_where=text("is_open")),
)
