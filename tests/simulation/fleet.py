"""The simulated fleet: four services with the real outbox, relay, consumer, inbox, intents and dead letters."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import admission, dead_letters, ids, outbox
from common.broker import Publisher
from common.clock import Clock
from common.consuming import Consumer
from common.guards import Guards
from common.queue_handler import QueueHandler
from common.relay import Pace, Relay
from common.subscriptions import Subscription
from common.topology import CONTRACT, DEAD_LETTERS

from .broker import Broker, Connection
from .faults import Faults
from .gateway import Gateway, Webhook
from .loop import VirtualLoop
from .payments import SWEEP_SECONDS, Payments, every, webhook_body
from .process import Process, Trace
from .statements import store
from .store import Store, database
from .wallets import Ledger, Wallets

RETRY_SCHEDULE_MS = (400, 1_000, 2_500)
CONFIRM_SECONDS = 2.0
# Slower and with a shorter lease than the product's, in proportion to the confirm's time-out.
PACE = Pace(mark_seconds=0.5, sweep_seconds=1.5, lease=timedelta(seconds=5))
OWNERS = {
    # Not of the fleet; it has an outbox of its own, as it should.
    "community-api": (),
    "webhook-ingest": (),
    "payment": ("webhook.processing",),
    "wallet": ("wallet.credit", "wallet.debit"),
    "ledger": ("ledger.posting",),
}


class NobodyThere(ConnectionError):
    """No process of the service runs now."""


class Fleet:
    """Stores, broker and gateway, which last, and processes, which come and go."""

    def __init__(self, loop: VirtualLoop, clock: Clock, faults: Faults, trace: Trace, guards: Guards) -> None:
        self.loop, self.clock, self.faults, self.trace, self.guards = loop, clock, faults, trace, guards
        queues = {name for owned in OWNERS.values() for queue in owned for name in (queue, queue + DEAD_LETTERS)}
        self.broker = Broker(loop, faults, trace, queues)
        self.stores: dict[str, Store] = {name: store(name, loop.time) for name in OWNERS}
        self.gateway = Gateway(loop, faults, trace, self.hear)
        self.wallets = Wallets(clock, guards)
        self.ledger = Ledger()
        self.failures: list[BaseException] = []
        self.processes: dict[str, list[Incarnation]] = {name: [] for name in OWNERS}

    def start(self) -> None:
        for name in OWNERS:
            for _ in range(2 if self.faults.has("two_replicas") else 1):
                self.run_one(name)

    def run_one(self, name: str) -> None:
        """Start a process of *name*; when it dies another takes its place after a moment."""
        one = Incarnation(self, name)
        self.processes[name].append(one)
        one.process.on_death.append(partial(self._bury, name, one))

    def _bury(self, name: str, one: "Incarnation") -> None:
        self.processes[name].remove(one)
        self.loop.call_later(0.2 + self.faults.rng.random() * 2, self.run_one, name)

    async def call(self, name: str, work: Callable[["Incarnation"], Awaitable[Any]]) -> Any:
        """Ask a process of *name*; raises NobodyThere when there is none or it dies before it answers."""
        if not self.processes[name]:
            raise NobodyThere(name)
        one = self.faults.rng.choice(self.processes[name])
        task = one.process.start(work(one), role=False)
        await asyncio.wait([task])
        if task.cancelled():
            raise NobodyThere(name)
        return task.result()

    async def hear(self, webhook: Webhook) -> None:
        """The door of webhook-ingest: stored and announced in one transaction, then 200."""

        async def take(one: Incarnation) -> None:
            event = WebhookReceived(
                event_id=ids.encode("evt", ids.new()), gateway="cashfree", body=webhook_body(webhook.claim)
            )
            async with one.db.begin() as tx:
                connection: Any = tx.connection
                await connection.travel()
                if await connection.insert("webhooks", webhook.event_id, {"event_id": event.event_id}):
                    await outbox.append(tx, [event])

        await self.call("webhook-ingest", take)

    async def ask_to_consume(self, asked: Sequence[WalletConsumeRequested]) -> None:
        """The community API asks for consumption, several at once; again under the same keys when the outcome is
        unknown."""

        async def announce(one: Incarnation) -> None:
            async with one.db.begin() as tx:
                await outbox.append(tx, asked)

        await self.call("community-api", announce)

    async def replay(self, name: str, done: dict[Any, int], times: int) -> None:
        """The operator sends open dead letters home, each event *times* times at most."""

        async def again(one: Incarnation) -> None:
            async with one.db.begin() as tx:
                letters = await dead_letters.find(tx)
                due = [row for row in letters if done.get((row.queue, row.event), 0) < times]
                await dead_letters.replay(tx, [row.dead_letter_id for row in due], "operator", "mended")
            for row in due:
                done[row.queue, row.event] = done.get((row.queue, row.event), 0) + 1

        await self.call(name, again)


class Incarnation:
    """One process with everything that a service's runtime wires together."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        guards = fleet.guards
        self.process = Process(name, fleet.loop, fleet.faults, fleet.trace, fleet.failures)
        self.db = database(fleet.stores[name], self.process, fleet.clock, guards)
        publishing: Any = Connection(fleet.broker, self.process)
        consuming: Any = Connection(fleet.broker, self.process)
        publisher = Publisher(publishing, user_id=name, timeout_seconds=CONFIRM_SECONDS, guards=guards)
        relay = Relay(self.db, publisher, PACE)
        self.db.on_commit = relay.announce
        self.process.start(relay.run())
        subscriptions: list[Subscription] = []
        if name == "payment":
            self.payments = Payments(self.db, fleet.clock, fleet.gateway, self.process)
            subscriptions = self.payments.subscriptions()
            self.process.start(self.payments.intents.run())
            self.process.start(every(SWEEP_SECONDS, self.payments.sweep))
        elif name == "wallet":
            subscriptions = fleet.wallets.subscriptions()
        elif name == "ledger":
            subscriptions = fleet.ledger.subscriptions()
        consumer = partial(Consumer, consuming, clock=fleet.clock, guards=guards)
        for queue in OWNERS[name]:
            mine = [each for each in subscriptions if each.queue == queue]
            handler = QueueHandler(self.db, queue, mine, RETRY_SCHEDULE_MS)
            known = CONTRACT.queue(queue)
            admitted = admission.of_queue(known, verifies_user=True)
            self.process.start(consumer(queue, admission.GenuineOnly(self.db, admitted, handler.work).work).run())
            keep = partial(dead_letters.keep, self.db, queue, subscriptions=mine)
            admitted = admission.of_dead_letters(known, verifies_user=True)
            genuine = admission.GenuineOnly(self.db, admitted, keep)
            self.process.start(consumer(queue + DEAD_LETTERS, genuine.work).run())
