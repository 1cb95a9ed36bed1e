"""Credits that are granted, consumed and no longer owed: lock, decide, save, announce."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.guards import Guards
from wallet.domain import batch as batches
from wallet.domain import operations as rules
from wallet.domain.batch import Result, WalletBatch
from wallet.domain.operations import Consumption, Forgiveness, Grant, Operation
from wallet.domain.wallets import Owner, Transaction
from wallet.store import commands
from wallet.wire import events

# What one transaction takes. The more operations, the more of them meet on the same wallets, each of which is locked,
# read and written once: 512 cost the database half as much again for each operation as 2,048, which hold their locks
# for a tenth of a second.
OPERATIONS_MAX = 2048
EVENTS_IN_A_TURN = 64

ALL_GUARDS = Guards.all()


async def move_credits(
    tx: Tx, clock: Clock, operations: Sequence[Operation], guards: Guards = ALL_GUARDS
) -> list[Result]:
    """Carry out each grant, consumption and forgiveness or say why not, in the order given; one refused does not touch
    the others.

    An operation whose key was carried out before answers with the first result and changes nothing. A refused one
    leaves no trace and does not use up its key.
    """
    refusals = [rules.refusal_of(operation) for operation in operations]
    sound = [operation for operation, refusal in zip(operations, refusals, strict=True) if refusal is None]
    results = iter((await _move(tx, clock.now(), sound, guards))[0] if sound else ())
    return [refusal or next(results) for refusal in refusals]


async def grant_credits(
    tx: Tx, clock: Clock, grants: Sequence[Grant], guards: Guards = ALL_GUARDS
) -> list[Result | None]:
    """Grant what each payment bought, once. A payment that bought no credits (None) has no effect here."""
    buying = {index: grant for index, grant in enumerate(grants) if grant.credits_paid or grant.credits_bonus}
    results = dict(zip(buying, await move_credits(tx, clock, list(buying.values()), guards), strict=True))
    return [results.get(index) for index in range(len(grants))]


async def _move(
    tx: Tx, now: datetime, operations: Sequence[Operation], guards: Guards
) -> tuple[list[Result], list[Transaction]]:
    """The result of each operation, and the transactions that are new."""
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
        announcements = await in_turns(events.announcements(batch))
    finally:
        await saving
    await outbox.append(tx, announcements)
    return results, batch.transactions


async def in_turns(messages: Iterator[Message]) -> list[Message]:
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
    forgiven = [each.owner for each in operations if isinstance(each, Forgiveness)]
    wallets = await commands.lock_wallets(tx, dict.fromkeys((*needs, *currencies, *forgiven)), guards)
    existing = await commands.transactions_by_key(tx, keys, guards)
    await commands.load_lots(tx, wallets.values(), needs)
    # Who spends pays no debt: only who is granted to, or forgiven.
    paying = [wallet for owner, wallet in wallets.items() if owner in currencies or owner in forgiven]
    return WalletBatch(wallets, existing, debts=await commands.load_debts(tx, paying))


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


@retried
async def forgive_debts(
    db: Database, clock: Clock, forgivenesses: Sequence[Forgiveness], guards: Guards = ALL_GUARDS
) -> list[Result]:
    """Take off each wallet's debt what a person decided that it no longer owes. Audited, with the reason."""
    refusals = [rules.refusal_of(forgiveness) for forgiveness in forgivenesses]
    sound = [each for each, refusal in zip(forgivenesses, refusals, strict=True) if refusal is None]
    if not sound:
        return [refusal for refusal in refusals if refusal]
    async with db.begin() as tx:
        done, made = await _move(tx, clock.now(), sound, guards)
        # What is repeated was audited the first time.
        new = {transaction.operation_key: transaction for transaction in made}
        audits = [
            events.debt_forgiven(forgiveness, new.pop(forgiveness.operation_key))
            for forgiveness in sound
            if forgiveness.operation_key in new
        ]
        await outbox.append(tx, audits)
    results = iter(done)
    return [refusal or next(results) for refusal in refusals]
