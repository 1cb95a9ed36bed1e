"""Holds of credits whose money may go back: lock, decide, save, announce."""

from collections.abc import Sequence

from msgspec.structs import replace

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.guards import Guards
from wallet.domain import hold_batch, operations
from wallet.domain.hold_batch import HoldBatch
from wallet.domain.holds import Hold, HoldOutcome, HoldRequest
from wallet.domain.wallets import Owner, Wallet
from wallet.store import commands, queries
from wallet.store import holds as store
from wallet.use_cases.credits import ALL_GUARDS, in_turns
from wallet.wire import events

HoldResult = Hold | DomainError


@retried
async def hold_credits(
    db: Database, clock: Clock, requests: Sequence[HoldRequest], guards: Guards = ALL_GUARDS
) -> list[HoldResult]:
    """Reserve credits that a payment bought, for each request or say why not, in order; one refused does not touch the
    others. A repeated key answers with the first hold; a refused one does not use up its key. A hold never expires.
    """
    refusals = [operations.hold_refusal(request) for request in requests]
    sound = [request for request, refusal in zip(requests, refusals, strict=True) if refusal is None]
    async with db.begin() as tx:
        now = clock.now()
        wallets = await commands.lock_wallets(tx, dict.fromkeys(request.owner for request in sound), guards)
        batch = await _batch(tx, wallets, sound)
        results = iter(hold_batch.hold_each(batch, sound, now, ids.new))
        await store.save(tx, batch, now, guards)
        await outbox.append(tx, await in_turns(events.announcements(batch)))
    return [refusal or next(results) for refusal in refusals]


async def preview_holds(db: Database, clock: Clock, requests: Sequence[HoldRequest]) -> list[HoldResult]:
    """What `hold_credits` would answer now. Nothing is locked or reserved: it may answer otherwise later."""
    refusals = [operations.hold_refusal(request, is_preview=True) for request in requests]
    # A preview without a key is one of its own.
    sound = [
        request if request.operation_key else replace(request, operation_key=f"preview:{number}")
        for number, (request, refusal) in enumerate(zip(requests, refusals, strict=True))
        if refusal is None
    ]
    async with db.begin() as tx:
        wallets = await queries.wallets_of(tx, {request.owner for request in sound})
        batch = await _batch(tx, wallets, sound)
    results = iter(hold_batch.hold_each(batch, sound, clock.now(), ids.new))
    return [refusal or next(results) for refusal in refusals]


async def _batch(tx: Tx, wallets: dict[Owner, Wallet], requests: Sequence[HoldRequest]) -> HoldBatch:
    keys = dict.fromkeys((request.owner.merchant_id, request.operation_key) for request in requests)
    payments = dict.fromkeys(
        (request.payment_id, wallets[request.owner].id) for request in requests if request.owner in wallets
    )
    return HoldBatch(
        wallets,
        {},
        holds_by_key=await store.by_key(tx, keys),
        payment_lots=hold_batch.payment_lots(await store.payment_lots(tx, payments)),
    )


async def end_holds(
    tx: Tx, clock: Clock, outcomes: Sequence[HoldOutcome], guards: Guards = ALL_GUARDS
) -> list[DomainError | None]:
    """Take each hold where its event says it went: consumed, released, or granted again. A hold that is there already
    stays as it is, whatever order the events come in.
    """
    hold_ids = dict.fromkeys(outcome.hold_id for outcome in outcomes)
    now = clock.now()
    wallets = await commands.lock_wallets(tx, await store.owners(tx, hold_ids), guards)
    holds = await store.by_id(tx, hold_ids, guards)
    lots = await store.lots_by_id(tx, dict.fromkeys(burn.lot_id for hold in holds.values() for burn in hold.burns))
    batch = HoldBatch(wallets, {}, holds=holds, lots=lots)
    await store.load_debts(tx, batch)
    refusals = hold_batch.end_each(batch, outcomes, now, ids.new)
    await store.save(tx, batch, now, guards)
    await outbox.append(tx, await in_turns(events.announcements(batch)))
    return refusals
