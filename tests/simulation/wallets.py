"""The wallet's and the ledger's consumers: the real domain and wire of wallet, on simulated tables."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from msgspec.structs import replace

from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested, WalletCredited, WalletDebited
from common import ids, outbox
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from common.guards import OPERATION_KEY, ROW_LOCK, Guards
from common.subscriptions import Subscription
from wallet.domain.batch import WalletBatch, apply
from wallet.domain.operations import Grant, Operation
from wallet.domain.wallets import Owner, Wallet
from wallet.wire import events as wire

POISON = "poison"


class Wallets:
    """Subscriptions of wallet.credit and wallet.debit."""

    def __init__(self, clock: Clock, guards: Guards) -> None:
        self._clock = clock
        self._locks_rows = guards.has(ROW_LOCK)
        self._looks_keys_up = guards.has(OPERATION_KEY)
        # Set once somebody has mended the bug that POISON stands for.
        self.mended = False

    def subscriptions(self) -> list[Subscription]:
        return [
            Subscription("wallet.credit", PaymentSucceeded, wire.payment_succeeded, self.move),
            Subscription("wallet.debit", WalletConsumeRequested, wire.consume_requested, self.move),
        ]

    async def move(self, tx: Tx, operations: Sequence[Operation]) -> list[DomainError | None]:
        """Lock, decide, save, announce; as wallet.use_cases does with SQL."""
        if not self.mended and any(getattr(each, "purpose", "") == POISON for each in operations):
            raise ZeroDivisionError(POISON)
        now = self._clock.now()
        batch = await self._lock(tx, operations)
        results = apply(batch, operations, now, ids.new)
        await _save(tx, batch)
        await outbox.append(tx, _told(batch))
        return [result if isinstance(result, DomainError) else None for result in results]

    async def _lock(self, tx: Tx, operations: Sequence[Operation]) -> WalletBatch:
        connection: Any = tx.connection
        await connection.travel()
        currencies = {each.owner: each.value.currency for each in operations if isinstance(each, Grant)}
        wallets: dict[Owner, Wallet] = {}
        for owner in sorted({each.owner for each in operations}):
            row = (
                await connection.lock("wallets", owner)
                if self._locks_rows
                else connection.store.table("wallets").get(owner)
            )
            if row is None and owner in currencies:
                row = {"wallet": Wallet(ids.new(), owner, currencies[owner])}
            if row is not None:
                wallet = row["wallet"]
                lots = [replace(lot) for lot in wallet.lots]
                wallets[owner] = replace(wallet, lots=lots)
        await connection.travel()
        keys = [(each.owner.merchant_id, each.operation_key) for each in operations]
        known = {key: connection.get("operations", key) for key in keys} if self._looks_keys_up else {}
        return WalletBatch(wallets, {key: row["transaction"] for key, row in known.items() if row})


async def _save(tx: Tx, batch: WalletBatch) -> None:
    connection: Any = tx.connection
    await connection.travel()
    for owner, wallet in sorted(batch.changed_wallets.items()):
        await connection.put("wallets", owner, {"wallet": wallet})
    for done in batch.transactions:
        await connection.put("transactions", done.id, {"transaction": done})
        await connection.put("operations", (done.owner.merchant_id, done.operation_key), {"transaction": done})


def _told(batch: WalletBatch) -> list[Message]:
    """What the ledger hears; the audit log is not simulated."""
    return [event for event in wire.announcements(batch) if isinstance(event, WalletCredited | WalletDebited)]


class Ledger:
    """Subscriptions of ledger.posting: one journal for each event, and a note of each time that a handler committed."""

    def subscriptions(self) -> list[Subscription]:
        return [
            Subscription("ledger.posting", message, lambda event: event, self.post)
            for message in (PaymentSucceeded, WalletCredited, WalletDebited)
        ]

    async def post(self, tx: Tx, events: Sequence[Any]) -> None:
        connection: Any = tx.connection
        await connection.travel()
        for event in events:
            await connection.put("applied", ids.new(), {"event_id": event.event_id})
            # The business key is the event's own id: what is replayed posts nothing more.
            await connection.insert("journals", event.event_id, {"event": event})
