"""Merchants' own gateway accounts."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from common.database import Row, Tx
from payment.domain.gateway_accounts import AccountStatus, MerchantAccount

# More than any installation has; all of them are in every replica's memory.
ALL_MAX = 10_000

_FIELDS = tuple(field.name for field in msgspec.structs.fields(MerchantAccount))
_COLUMNS = ", ".join(_FIELDS)
_INSERT = f"""
insert into gateway_accounts ({_COLUMNS}) values ({", ".join(f":{name}" for name in _FIELDS)})
on conflict do nothing returning id
"""
_SAVE = """
update gateway_accounts set webhook_secret = :webhook_secret, webhook_secret_before = :webhook_secret_before,
    webhook_secret_before_until = :webhook_secret_before_until, status = :status, version = :version,
    updated_at = :updated_at
where id = :id
"""
_LOCK = f"select {_COLUMNS} from gateway_accounts where id = :id for update"
_OF_MERCHANT = (
    f"select {_COLUMNS} from gateway_accounts where merchant_id = :merchant_id order by priority, id limit 100"
)
_PAGE = f"select {_COLUMNS} from gateway_accounts where id > :after order by id limit :limit"
# Rows are never deleted and versions only rise, so every change changes the sum.
_MARK = "select count(*) as number, coalesce(sum(version), 0) as versions from gateway_accounts"
# One after the other, so that the limit of a merchant's accounts holds.
_TURN = "select pg_advisory_xact_lock(hashtextextended('gateway_accounts:' || :merchant_id, 0))"


async def insert(tx: Tx, account: MerchantAccount) -> bool:
    """False when the merchant has an account with this key."""
    return (await tx.execute(_INSERT, **_values(account))).scalar() is not None


async def take_turn(tx: Tx, merchant_id: str) -> None:
    """Wait until nobody else is adding an account of the merchant."""
    await tx.execute(_TURN, merchant_id=merchant_id)


async def save(tx: Tx, account: MerchantAccount) -> None:
    names = (
        "id",
        "webhook_secret",
        "webhook_secret_before",
        "webhook_secret_before_until",
        "status",
        "version",
        "updated_at",
    )
    values = _values(account)
    await tx.execute(_SAVE, **{name: values[name] for name in names})


async def lock(tx: Tx, account_id: UUID) -> MerchantAccount | None:
    row = (await tx.execute(_LOCK, id=account_id)).first()
    return _read(row) if row else None


async def of_merchant(tx: Tx, merchant_id: str) -> list[MerchantAccount]:
    return [_read(row) for row in await tx.execute(_OF_MERCHANT, merchant_id=merchant_id)]


async def page(tx: Tx, after: UUID, limit: int) -> list[MerchantAccount]:
    """By id."""
    return [_read(row) for row in await tx.execute(_PAGE, after=after, limit=limit)]


async def mark(tx: Tx) -> tuple[int, int]:
    """What every change changes."""
    row = (await tx.execute(_MARK)).one()
    return row.number, int(row.versions)


def _values(account: MerchantAccount) -> dict[str, object]:
    values: dict[str, object] = msgspec.structs.asdict(account)
    return values | {"methods": ",".join(account.methods), "status": account.status.value}


def _read(row: Row) -> MerchantAccount:
    values = dict(row)
    methods: Sequence[str] = values["methods"].split(",") if values["methods"] else ()
    return MerchantAccount(**values | {"methods": tuple(methods), "status": AccountStatus(values["status"])})
