"""Lock, decide, save, announce."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.delivery import Story
from wallet import domain, store, wire
from wallet.domain import Book, Consumption, Grant, Operation, Result

# What one transaction takes. The more operations, the more of them meet on the same wallets, each of which is locked,
# read and written once: 512 cost the database half as much again for each operation as 2,048, which hold their locks
# for a tenth of a second.
OPERATIONS_MAX = 2048
STORY_LINES_MAX = 200
EVENTS_IN_A_TURN = 64


async def move_credits(tx: Tx, clock: Clock, operations: Sequence[Operation]) -> list[Result]:
    """Carry out each grant and consumption or say why not, in the order given; one refused does not touch the others.

    An operation whose key was carried out before answers with the first result and changes nothing. A refused one
    leaves no trace and does not use up its key.
    """
    refusals = [domain.refusal_of(operation) for operation in operations]
    sound = [operation for operation, refusal in zip(operations, refusals, strict=True) if refusal is None]
    results = iter(await _move(tx, clock.now(), sound) if sound else ())
    return [next(results) if refusal is None else refusal for refusal in refusals]


async def grant_credits(tx: Tx, clock: Clock, grants: Sequence[Grant]) -> list[Result | None]:
    """Grant what each payment bought, once. A payment that bought no credits (None) has no effect here."""
    buying = [grant for grant in grants if grant.credits_paid or grant.credits_bonus]
    results = iter(await move_credits(tx, clock, buying))
    return [next(results) if grant.credits_paid or grant.credits_bonus else None for grant in grants]


async def _move(tx: Tx, now: datetime, operations: Sequence[Operation]) -> list[Result]:
    # The wallets are locked before the keys are looked up, and keys are inserted last: two operations with one key
    # meet at their wallet's lock, and a refused one has nothing to undo. (With one key on two wallets the second
    # insert is refused by the primary key: a lost race, and the batch that is tried again finds the key taken.)
    #
    # Nearly every batch holds the busiest wallets, so the service is as fast as the time between lock and commit is
    # short: what can be made ready before is, and the events are spelt while the database writes.
    book = await _lock(tx, now, operations)
    results = domain.apply(book, operations, now, ids.new)
    saving = asyncio.create_task(store.save(tx, book, now))
    try:
        events = await _in_turns(wire.events(book))
    finally:
        await saving
    await outbox.append(tx, events)
    return results


async def _in_turns(events: Iterator[Message]) -> list[Message]:
    """All of them; the loop has a turn after every few, so that what they are spelt beside is not held up."""
    spelt: list[Message] = []
    while some := list(islice(events, EVENTS_IN_A_TURN)):
        spelt += some
        await asyncio.sleep(0)
    return spelt


async def _lock(tx: Tx, now: datetime, operations: Sequence[Operation]) -> Book:
    currencies = {each.owner: each.value.currency for each in operations if isinstance(each, Grant)}
    needs: Counter[domain.Owner] = Counter()
    for each in operations:
        if isinstance(each, Consumption):
            needs[each.owner] += each.credits
    keys = dict.fromkeys((each.owner.merchant_id, each.operation_key) for each in operations)
    if currencies:
        await store.open_wallets(tx, currencies, now)
    wallets = await store.lock(tx, currencies.keys() | needs.keys())
    done = await store.done_before(tx, keys)
    await store.load_lots(tx, wallets.values(), needs)
    return Book(wallets, done)


@retried
async def consume_credits(db: Database, clock: Clock, consumptions: Sequence[Consumption]) -> list[Result]:
    """Check and debit each, in the order given, in as few transactions as its size allows."""
    results: list[Result] = []
    for start in range(0, len(consumptions), OPERATIONS_MAX):
        async with db.begin() as tx:
            results += await move_credits(tx, clock, consumptions[start : start + OPERATIONS_MAX])
    return results


async def check_balances(tx: Tx, wallet_ids: Collection[UUID]) -> list[UUID]:
    """Rebuild the balances from their transactions and, apart from that, from their lots; returns the wallets that hold
    something else. For all wallets at once, less the order of each chain, it is in the totals: `wallets.mismatched`."""
    return await store.mismatched(tx, wallet_ids)


async def story(tx: Tx, reference: str) -> Story:
    """What happened to a payment's credits, in a wallet, to an owner or in one transaction; the newest lines of it."""
    return wire.story(await store.story_transactions(tx, STORY_LINES_MAX, reference=reference, **wire.meant(reference)))
