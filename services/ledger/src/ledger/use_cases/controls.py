"""Close periods; freeze accounts and unfreeze them. Who, when and why is kept and audited."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from common import ids, outbox
from common.clock import Clock
from common.database import Database, retried
from ledger.domain.chart import ACCOUNTS
from ledger.domain.controls import (
    AccountFrozen,
    AccountNotFound,
    AccountNotFrozen,
    ClosedPeriod,
    Freeze,
    check_period_end,
)
from ledger.store import controls, statements
from ledger.wire import announcements


@retried
async def close_period(
    db: Database, clock: Clock, merchant_id: str, until: datetime, actor_id: str, reason: str
) -> ClosedPeriod:
    """Nothing that counts before *until* is booked any more; what comes late counts when it comes.

    Closing up to the same moment again changes nothing. Raises PeriodEndInvalid.
    """
    async with db.begin() as tx:
        await controls.lock_journals(tx)
        last = next(iter(await controls.closed_periods(tx, merchant_id)), None)
        if last is not None and last.closed_until == until:
            return last
        now = clock.now()
        check_period_end(last, until, now)
        period = ClosedPeriod(merchant_id, until, now, actor_id, reason)
        await controls.add_period(tx, period)
        await outbox.append(tx, [announcements.period_closed(last, period)])
    return period


async def keep_closing_balances(db: Database) -> int:
    """Sum up the closed periods that have no balances yet, the oldest first; says how many that were."""
    kept = 0
    while True:
        async with db.begin() as tx:
            if not await statements.keep_next_closing_balances(tx):
                return kept
        kept += 1


async def list_periods(db: Database, merchant_id: str, limit: int, before: datetime | None) -> list[ClosedPeriod]:
    """A merchant's closed periods, the last one first."""
    async with db.begin() as tx:
        return await controls.closed_periods(tx, merchant_id, limit, before)


@retried
async def freeze_account(
    db: Database,
    clock: Clock,
    merchant_id: str,
    account: str,
    actor_id: str,
    reason: str,
    new_id: Callable[[], UUID] = ids.new,
) -> Freeze:
    """No entry is booked on a merchant's account any more. What needs it waits in the retry schedule, then in the dead
    letters, with their alert. Raises AccountNotFound, AccountFrozen."""
    if account not in ACCOUNTS:
        raise AccountNotFound("there is no such account")
    async with db.begin() as tx:
        await controls.lock_journals(tx)
        if await controls.freezes(tx, merchant_id, account=account):
            raise AccountFrozen("it is frozen already")
        freeze = Freeze(new_id(), merchant_id, account, clock.now(), actor_id, reason)
        await controls.add_freeze(tx, freeze)
        await outbox.append(tx, [announcements.account_frozen(freeze)])
    return freeze


@retried
async def unfreeze_account(
    db: Database, clock: Clock, merchant_id: str, account: str, actor_id: str, reason: str
) -> Freeze:
    """The account takes entries again. Raises AccountNotFound, AccountNotFrozen."""
    if account not in ACCOUNTS:
        raise AccountNotFound("there is no such account")
    async with db.begin() as tx:
        await controls.lock_journals(tx)
        freeze = next(iter(await controls.freezes(tx, merchant_id, account=account)), None)
        if freeze is None:
            raise AccountNotFrozen("it is not frozen")
        after = replace(freeze, unfrozen_at=clock.now(), unfrozen_by=actor_id, unfreeze_reason=reason)
        await controls.save_unfreeze(tx, after)
        await outbox.append(tx, [announcements.account_unfrozen(after)])
    return after


async def list_freezes(db: Database, merchant_id: str) -> Sequence[Freeze]:
    """A merchant's frozen accounts."""
    async with db.begin() as tx:
        return await controls.freezes(tx, merchant_id)
