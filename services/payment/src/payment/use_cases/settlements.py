"""Read settlements: for FINANCE of a merchant, and for the reconciler and operators across merchants."""

from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Database
from payment.domain.settlement_records import Changed, PaymentChange, PaymentRecord, SettlementFilter
from payment.domain.settlements import Settlement, SettlementNotFound, StoredRow
from payment.store import settlement_queries


class Window(msgspec.Struct, frozen=True):
    """Changes in [since, until), behind the last one of the page before."""

    since: datetime
    until: datetime
    after: tuple[datetime, UUID]
    limit: int


class RecordPage(msgspec.Struct, frozen=True):
    """The records of a page, each with its last change in it; *last* is where the next page goes on, or None."""

    records: list[tuple[PaymentRecord, datetime]]
    last: PaymentChange | None


async def settlements_of_merchant(db: Database, filter: SettlementFilter) -> list[Settlement]:
    async with db.begin() as tx:
        return await settlement_queries.page(tx, filter)


async def find_settlement(db: Database, settlement_id: UUID, merchant_id: str) -> Changed:
    """Raises SettlementNotFound, for other merchants' as well."""
    async with db.begin() as tx:
        found = await settlement_queries.of_merchant(tx, settlement_id, merchant_id)
    if found is None:
        raise SettlementNotFound("there is no such settlement")
    return found


async def changed_settlements(db: Database, window: Window) -> list[Changed]:
    """A page, and one more when there are more."""
    async with db.begin() as tx:
        return await settlement_queries.changed(tx, window.since, window.until, window.after, window.limit + 1)


async def rows_of_settlements(
    db: Database, settlement_ids: list[UUID], after: tuple[UUID, str], limit: int
) -> list[StoredRow]:
    async with db.begin() as tx:
        return await settlement_queries.rows_of_settlements(tx, settlement_ids, after, limit)


async def rows_of_payments(db: Database, payment_ids: list[UUID], after: UUID, limit: int) -> list[StoredRow]:
    async with db.begin() as tx:
        return await settlement_queries.rows_of_payments(tx, payment_ids, after, limit)


async def changed_payments(db: Database, window: Window) -> RecordPage:
    """What payment believes of the payments that changed in the window; one that changed twice is shown once a page."""
    async with db.begin() as tx:
        changes = await settlement_queries.payment_changes(
            tx, window.since, window.until, window.after, window.limit + 1
        )
        shown = changes[: window.limit]
        records = await settlement_queries.payment_records(tx, list({change.payment_id for change in shown}))
    latest = {change.payment_id: change.at for change in shown}
    ordered = [(records[payment_id], at) for payment_id, at in latest.items() if payment_id in records]
    return RecordPage(ordered, shown[-1] if len(changes) > window.limit else None)


async def records_of(db: Database, payment_ids: list[UUID]) -> list[PaymentRecord]:
    async with db.begin() as tx:
        records = await settlement_queries.payment_records(tx, payment_ids)
    return [records[payment_id] for payment_id in payment_ids if payment_id in records]
