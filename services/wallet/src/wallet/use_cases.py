"""Lock, decide, save, announce; and what is read."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.delivery import Timeline
from common.guards import Guards
from wallet.domain import batch as batches
from wallet.domain import operations as rules
from wallet.domain.batch import Result, WalletBatch
from wallet.domain.operations import Consumption, Grant, Operation
from wallet.domain.wallets import Owner, Pack, Transaction, TransactionFilter, Wallet, WalletContents
from wallet.store import commands, queries
from wallet.wire import events
from wallet.wire import timeline as lines

# What one transaction takes. The more operations, the more of them meet on the same wallets, each of which is locked,
# read and written once: 512 cost the database half as much again for each operation as 2,048, which hold their locks
# for a tenth of a second.
OPERATIONS_MAX = 2048
TIMELINE_ENTRIES_MAX = 200
EVENTS_IN_A_TURN = 64

ALL_GUARDS = Guards.all()


async def move_credits(
    tx: Tx, clock: Clock, operations: Sequence[Operation], guards: Guards = ALL_GUARDS
) -> list[Result]:
    """Carry out each grant and consumption or say why not, in the order given; one refused does not touch the others.

    An operation whose key was carried out before answers with the first result and changes nothing. A refused one
    leaves no trace and does not use up its key.
    """
    refusals = [rules.refusal_of(operation) for operation in operations]
    sound = [operation for operation, refusal in zip(operations, refusals, strict=True) if refusal is None]
    results = iter(await _move(tx, clock.now(), sound, guards) if sound else ())
    return [refusal or next(results) for refusal in refusals]


async def grant_credits(
    tx: Tx, clock: Clock, grants: Sequence[Grant], guards: Guards = ALL_GUARDS
) -> list[Result | None]:
    """Grant what each payment bought, once. A payment that bought no credits (None) has no effect here."""
    buying = {index: grant for index, grant in enumerate(grants) if grant.credits_paid or grant.credits_bonus}
    results = dict(zip(buying, await move_credits(tx, clock, list(buying.values()), guards), strict=True))
    return [results.get(index) for index in range(len(grants))]


async def _move(tx: Tx, now: datetime, operations: Sequence[Operation], guards: Guards) -> list[Result]:
    # The wallets are locked before the keys are looked up, and keys are inserted last: two operations with one key
    # meet at their wallet's lock, and a refused one has nothing to undo. (With one key on two wallets the second
    # insert is refused by the primary key: a lost race, and the batch that is tried again finds the key taken.)
    #
    # Nearly every batch holds the busiest wallets, so the service is as fast as the time between lock and commit is
    # short: what can be made ready before is, and the events are encoded while the database writes.
    batch = await _lock(tx, now, operations, guards)
    results = batches.apply(batch, operations, now, ids.new)
    saving = asyncio.create_task(commands.save(tx, batch, now, guards))
    try:
        announcements = await _in_turns(events.announcements(batch))
    finally:
        await saving
    await outbox.append(tx, announcements)
    return results


async def _in_turns(messages: Iterator[Message]) -> list[Message]:
    """All of them; the loop has a turn after every few, so that what they are made beside is not held up."""
    made: list[Message] = []
    while some := list(islice(messages, EVENTS_IN_A_TURN)):
        made += some
        await asyncio.sleep(0)
    return made


async def _lock(tx: Tx, now: datetime, operations: Sequence[Operation], guards: Guards) -> WalletBatch:
    currencies = {each.owner: each.value.currency for each in operations if isinstance(each, Grant)}
    needs: Counter[Owner] = Counter()
    for each in operations:
        if isinstance(each, Consumption):
            needs[each.owner] += each.credits
    keys = dict.fromkeys(map(rules.scoped_key, operations))
    if currencies:
        await commands.open_wallets(tx, currencies, now)
    wallets = await commands.lock_wallets(tx, dict.fromkeys((*needs, *currencies)), guards)
    existing = await commands.transactions_by_key(tx, keys, guards)
    await commands.load_lots(tx, wallets.values(), needs)
    return WalletBatch(wallets, existing)


@retried
async def consume_credits(
    db: Database, clock: Clock, consumptions: Sequence[Consumption], guards: Guards = ALL_GUARDS
) -> list[Result]:
    """Check and debit each, in the order given, in as few transactions as its size allows."""
    results: list[Result] = []
    for start in range(0, len(consumptions), OPERATIONS_MAX):
        async with db.begin() as tx:
            results += await move_credits(tx, clock, consumptions[start : start + OPERATIONS_MAX], guards)
    return results


async def read_wallet(db: Database, owner: Owner) -> WalletContents:
    """An owner's wallet and its open credits by expiry."""
    async with db.begin() as tx:
        wallet = (await queries.wallets_of(tx, [owner])).get(owner)
        return WalletContents(wallet, await queries.lot_sums(tx, wallet.id) if wallet else ())


async def read_wallets(
    db: Database, owners: Sequence[Owner], wallet_ids: Sequence[UUID]
) -> tuple[dict[Owner, Wallet], list[Wallet]]:
    """The wallets of those owners that have one, and those with these ids, without their lots."""
    async with db.begin() as tx:
        return await queries.wallets_of(tx, owners), await queries.wallets_by_id(tx, wallet_ids)


async def list_transactions(db: Database, owner: Owner, filter: TransactionFilter) -> list[Transaction]:
    """An owner's transactions, newest first."""
    async with db.begin() as tx:
        return await queries.transactions_of(tx, owner, filter)


async def list_packs(db: Database, clock: Clock, merchant_id: str) -> list[Pack]:
    """The packs that a merchant has on sale now, cheapest first."""
    async with db.begin() as tx:
        return await queries.packs_on_sale(tx, merchant_id, clock.now())


async def check_balances(tx: Tx, wallet_ids: Collection[UUID]) -> list[UUID]:
    """Rebuild the balances from their transactions and, apart from that, from their lots; returns the wallets that hold
    something else. For all wallets at once, less the order of each chain, it is in the totals: `wallets.mismatched`."""
    return await queries.mismatched_wallets(tx, wallet_ids)


async def timeline(tx: Tx, reference: str) -> Timeline:
    """What happened to a payment's credits, in a wallet, to an owner or in one transaction: the newest entries."""
    transactions = await queries.timeline_transactions(tx, lines.subject(reference), TIMELINE_ENTRIES_MAX)
    return lines.timeline(transactions)


async def totals(tx: Tx) -> Mapping[str, int]:
    """Sums over all wallets, all of one moment: see the README for the names."""
    return await queries.totals(tx)


async def recent_totals(tx: Tx) -> Mapping[str, int]:
    """Those that books are compared by, at a cost that does not grow with the table of transactions."""
    return await queries.recent_totals(tx)
