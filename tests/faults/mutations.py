"""Guards that a service loses for a control, in the process that `tests.faults.mutate_and_run` starts.

Some come in two kinds that differ in the guard alone: both hold a window open that is too short to be hit by chance,
and only one of them has lost what makes the window harmless.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from msgspec.structs import replace

# How long a window is held open: longer than a look at the outbox or at the intents takes to come round.
WINDOW_SECONDS = 1.0
LOCK_SECONDS = 0.3


def no_inbox_claim() -> None:
    """What was worked before is worked again; the claim is noted and not minded."""
    from common.handling import QueueHandler

    real = QueueHandler._claim

    async def claim(self: QueueHandler, tx: Any, group: Sequence[Any]) -> set[Any]:
        await real(self, tx, group)
        return {delivery.envelope_id for delivery in group}

    QueueHandler._claim = claim  # type: ignore[method-assign]


def no_business_key() -> None:
    """The wallet neither looks a key up nor minds that it is taken."""
    commands: Any = importlib.import_module("wallet.store.commands")

    async def transactions_by_key(tx: Any, keys: Any) -> dict[Any, Any]:
        return {}

    async def save_no_keys(tx: Any, done: Any) -> None:
        """As if they were not unique."""

    commands.transactions_by_key = transactions_by_key
    commands._save_keys = save_no_keys


def slow_lock() -> None:
    """The wallets are looked at for a while once they are locked."""
    commands: Any = importlib.import_module("wallet.store.commands")
    real = commands.lock_wallets

    async def lock(tx: Any, owners: Collection[Any]) -> Any:
        wallets = await real(tx, owners)
        await asyncio.sleep(LOCK_SECONDS)
        return wallets

    commands.lock_wallets = lock


def no_row_lock() -> None:
    """The wallets are read without a lock, and then looked at for a while."""
    commands: Any = importlib.import_module("wallet.store.commands")
    assert "for no key update" in commands._LOCK_WALLETS
    commands._LOCK_WALLETS = commands._LOCK_WALLETS.replace("for no key update", "")
    slow_lock()


def _one_by_one(order: Callable[[list[Any]], list[Any]]) -> None:
    commands: Any = importlib.import_module("wallet.store.commands")
    real = commands.lock_wallets

    async def lock(tx: Any, owners: Collection[Any]) -> Any:
        wallets: dict[Any, Any] = {}
        for owner in order(sorted(owners)):
            wallets |= await real(tx, [owner])
            await asyncio.sleep(LOCK_SECONDS)
        return wallets

    commands.lock_wallets = lock


def locks_one_by_one() -> None:
    """The wallets are locked one after the other, slowly, in sorted order."""
    _one_by_one(lambda owners: owners)


def no_lock_order() -> None:
    """The wallets are locked one after the other, slowly, each time in the opposite order."""
    turns = [False]

    def order(owners: list[Any]) -> list[Any]:
        turns[0] = not turns[0]
        return owners if turns[0] else owners[::-1]

    _one_by_one(order)


def not_mandatory() -> None:
    """The broker takes what it cannot route, and says nothing."""
    from aiormq.channel import Channel

    real = Channel.basic_publish

    async def basic_publish(self: Channel, *args: Any, **kwargs: Any) -> Any:
        return await real(self, *args, **kwargs | {"mandatory": False})

    Channel.basic_publish = basic_publish  # type: ignore[method-assign]


def slow_work() -> None:
    """A batch lies in the process for a while before it is worked."""
    from common.handling import QueueHandler

    real_work = QueueHandler.work

    async def work(self: QueueHandler, deliveries: Sequence[Any]) -> None:
        await asyncio.sleep(WINDOW_SECONDS)
        await real_work(self, deliveries)

    QueueHandler.work = work  # type: ignore[method-assign]


def ack_before_commit() -> None:
    """The broker forgets what it delivers at once; the work comes afterwards."""
    from aiormq.channel import Channel

    real_consume = Channel.basic_consume

    async def basic_consume(self: Channel, *args: Any, **kwargs: Any) -> Any:
        return await real_consume(self, *args, **kwargs | {"no_ack": True})

    async def basic_ack(self: Channel, *args: Any, **kwargs: Any) -> None:
        return None

    Channel.basic_consume = basic_consume  # type: ignore[method-assign]
    Channel.basic_ack = basic_ack  # type: ignore[method-assign]
    slow_work()


def no_sweeper() -> None:
    """What the fast path did not get confirmed is left behind."""
    from common.relay import Relay

    async def sweep(self: Relay) -> int:
        return 0

    Relay.sweep = sweep  # type: ignore[method-assign]


def sweeper_only() -> None:
    """Nothing is published after its commit: all of it is left to the sweepers."""
    from common.relay import Relay

    Relay.announce = lambda self, rows: None  # type: ignore[method-assign]


def no_outbox_lease() -> None:
    """The same, and each sweeper takes whatever is not marked, whoever is publishing it."""
    from common import relay

    relay._LEASE = """
        select envelope_id, exchange, routing_key, mandatory, type, headers, body from outbox
        where published_at is null and envelope_id >= :after and envelope_id < :before
          and cast(:lease as interval) > interval '0'
        order by envelope_id limit :rows
        """
    sweeper_only()


def no_outbox() -> None:
    """Announcements are published from memory after the commit and written nowhere."""
    from common import outbox

    async def append_rows(tx: Any, rows: Sequence[Any]) -> None:
        tx.outgoing.extend(rows)

    outbox.append_rows = append_rows


def no_fresh_headers() -> None:
    """An event that is sent on, or replayed, keeps the headers that it came with."""
    from commdesk.common.v1.common_pb2 import Envelope
    from common.broker import Publisher

    consuming: Any = importlib.import_module("common.consuming")

    headers: dict[bytes, dict[str, Any]] = {}
    real_opened, real_publish = consuming.opened, Publisher.publish

    def opened(message: Any, *rest: Any) -> Any:
        delivery = real_opened(message, *rest)
        for body in delivery.bodies:
            headers.setdefault(body, {}).update(message.header.properties.headers or {})
        return delivery

    def inherited(row: Any) -> Any:
        known: dict[str, Any] = {}
        for body in Envelope.FromString(row.body).events:
            known |= headers.get(body, {})
        return replace(row, headers=known | dict(row.headers or {}))

    async def publish(self: Publisher, rows: Sequence[Any]) -> Any:
        return await real_publish(self, [inherited(row) for row in rows])

    consuming.opened = opened
    Publisher.publish = publish  # type: ignore[method-assign]


def slow_mails() -> None:
    """The mail server takes its time."""
    smtp: Any = importlib.import_module("notifier.gateways.smtp")
    real = smtp.Smtp.send

    async def send(self: Any, *args: Any) -> Any:
        await asyncio.sleep(2 * WINDOW_SECONDS)
        return await real(self, *args)

    smtp.Smtp.send = send


def no_intent_lease() -> None:
    """The same, and the worker takes whatever is not done, whoever is carrying it out."""
    from common import intents

    intents._LEASE = """
        update intents set attempts = attempts + 1
        where intent_id in (
            select intent_id from intents
            where kind = :kind and done_at is null and due_at <= now() and cast(:lease as interval) > interval '0'
            order by due_at limit :rows for update
        )
        returning intent_id, payload, attempts
        """
    slow_mails()


def no_signature() -> None:
    """Whoever knows the webhook's address may send one."""
    verification: Any = importlib.import_module("gateways.verification")

    class Lenient:
        def __getattr__(self, name: str) -> Any:
            return getattr(hmac, name)

        @staticmethod
        def compare_digest(_: Any, __: Any) -> bool:
            return True

    verification.hmac = Lenient()


GUARDS: tuple[Callable[[], None], ...] = (
    ack_before_commit,
    locks_one_by_one,
    no_business_key,
    no_fresh_headers,
    no_inbox_claim,
    no_intent_lease,
    no_lock_order,
    no_outbox,
    no_outbox_lease,
    no_row_lock,
    no_signature,
    no_sweeper,
    not_mandatory,
    slow_lock,
    slow_mails,
    slow_work,
    sweeper_only,
)
