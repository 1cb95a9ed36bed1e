"""`simulate(seed)`: one schedule, from the empty fleet to rest, and what was wrong in the end."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from commdesk.wallet.v1.wallet_pb2 import Consumption, Owner
from common import guards, ids
from common.database import is_transient
from common.errors import DomainError
from common.guards import Guards
from common.money import Money

from . import oracle, payments
from .faults import Faults
from .fleet import Fleet, Incarnation
from .gateway import GatewayTimeout
from .loop import Livelock, VirtualClock, VirtualLoop
from .process import Trace
from .wallets import POISON

FAULTS_SECONDS = 5.0
# Rest takes the retry schedule twice, the leases of outbox and intents, and the gateway's late customers.
REST_SECONDS = 240.0
REPLAYS = 1
# The guards whose absence the simulated faults can show. Not here: the outbox's lease (a row published twice is
# harmless), fresh headers, signatures and the lock order, which tests/faults shows on real engines.
SHOWN = (
    guards.INBOX_CLAIM,
    guards.ACK_AFTER_COMMIT,
    guards.OUTBOX,
    guards.PUBLISH_AFTER_COMMIT,
    guards.MANDATORY,
    guards.MARK_CONFIRMED_ONLY,
    guards.SWEEPER,
    guards.CONNECTION_LOSS,
    guards.INTENT_LEASE,
    guards.GATEWAY_KEY,
    guards.ROW_LOCK,
    guards.OPERATION_KEY,
)
PRODUCT = Guards.all()


@dataclass(frozen=True)
class Violation:
    """A schedule in which something did not hold; the seed says it all."""

    seed: int
    found: tuple[str, ...]
    kinds: tuple[str, ...]
    trace: tuple[str, ...] = field(repr=False, default=())

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, faults: {', '.join(self.kinds)}", *self.found])


def simulate(seed: int, in_place: Guards = PRODUCT, *, traced: bool = False, keep: bool = False) -> Violation | None:
    """Run the schedule of *seed*; None when everything held, unless *keep* asks for the trace of that too.

    The same seed is the same schedule, to the last await.
    """
    rng = random.Random(seed)
    faults = Faults.swarm(rng)
    loop = VirtualLoop(rng)
    clock = VirtualClock(loop)
    logger.disable("common")
    try:
        with ids.reproducible(clock.time_ns, random.Random(seed)):
            world = World(loop, clock, faults, in_place, traced=traced)
            try:
                loop.run_until_complete(world.run())
                found = tuple(world.found)
            except Livelock as error:
                found = (f"livelock: {error}",)
            finally:
                world.close()
    finally:
        logger.enable("common")
    if not found and not keep:
        return None
    return Violation(seed, found, tuple(sorted(faults.kinds)), tuple(world.trace.lines))


class World:
    """The fleet, its customers, and what befalls it."""

    def __init__(
        self, loop: VirtualLoop, clock: VirtualClock, faults: Faults, in_place: Guards, *, traced: bool
    ) -> None:
        self.loop = loop
        self.faults = faults
        self.rng = faults.rng
        self.trace = Trace(loop, wanted=traced)
        self.clock = clock
        self.fleet = Fleet(loop, clock, faults, self.trace, in_place)
        # Operation key → credits, of everything that was asked for.
        self.consumptions: dict[str, int] = {}
        self.replays: dict[Any, int] = {}
        self.found: list[str] = []

    async def run(self) -> None:
        self.fleet.start()
        clients = [self._buy(number) for number in range(self.rng.randint(2, 5))]
        clients += [self._consume(number) for number in range(self.rng.randint(1, 3))]
        await asyncio.gather(self._befall(), *clients)
        if not await self._rest():
            self.found.append(f"no rest after {REST_SECONDS} s")
        self.found += [f"a role failed: {error!r}" for error in self.fleet.failures if not is_transient(error)]
        self.found += oracle.violations(self.fleet, self.consumptions, self.replays)

    def close(self) -> None:
        """Leave nothing pending behind: a destroyed task would speak up in the next schedule."""
        self.faults.over = True
        tasks = asyncio.all_tasks(self.loop)
        for one in [one for several in self.fleet.processes.values() for one in several]:
            one.process.dead = True
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.start_anew()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def _rest(self) -> bool:
        """Wait until nothing moves, replaying dead letters; those that remain were refused permanently."""
        ends = self.loop.time() + REST_SECONDS
        self.fleet.wallets.mended = True
        while self.loop.time() < ends:
            await asyncio.sleep(1)
            if not oracle.is_quiet(self.fleet):
                continue
            before = sum(self.replays.values())
            for name in self.fleet.processes:
                await self._insist(self.fleet.replay, name, self.replays, REPLAYS)
            if sum(self.replays.values()) == before:
                return True
        return False

    async def _buy(self, number: int) -> None:
        await asyncio.sleep(self.rng.random() * 2)
        wrong = self.faults.has("wrong_currency") and self.rng.random() < 0.3
        amount = Money(self.rng.randint(1, 50) * 10, "USD" if wrong else "INR")
        payment = payments.placed(number, f"usr_{self.rng.randint(1, 2)}", amount, self.clock)
        waits = self.rng.random() < 0.5

        async def create(one: Incarnation) -> None:
            await one.payments.create(payment, waits=waits)

        await self._insist(self.fleet.call, "payment", create)

    async def _consume(self, number: int) -> None:
        """Some requests in one envelope; their keys stay when they are sent again."""
        await asyncio.sleep(self.rng.random() * 4)
        several = self.rng.randint(1, 3)
        asked = []
        for item in range(several):
            key = f"use_{number}_{item}"
            poisoned = self.faults.has("poison_in_envelope" if several > 1 else "poison") and item == 0
            self.consumptions[key] = self.rng.randint(1, 60)
            asked.append(
                WalletConsumeRequested(
                    event_id=ids.encode("evt", ids.new()),
                    consumption=Consumption(
                        operation_key=key,
                        owner=Owner(merchant_id="mer_1", kind="USER", id=f"usr_{self.rng.randint(1, 2)}"),
                        credits=self.consumptions[key],
                        purpose=POISON if poisoned else "boost",
                    ),
                )
            )
        await self._insist(self.fleet.ask_to_consume, asked)

    async def _insist(self, work: Any, *args: Any) -> None:
        """A caller that asks again until it is answered."""
        while True:
            try:
                await work(*args)
                return
            except (DomainError, GatewayTimeout):
                # Recorded; the worker carries on.
                return
            except Exception as error:
                if not is_transient(error):
                    raise
                await asyncio.sleep(0.3)

    async def _befall(self) -> None:
        """What happens once or twice; then nothing fails any more."""
        happenings = [
            happen
            for kind, happen in (
                ("kill", self._kill),
                ("kill", self._kill),
                ("database_restart", self._restart_database),
                ("broker_blocks", self._block_broker),
                ("unroutable", self._unbind),
            )
            if self.faults.has(kind)
        ]
        await asyncio.gather(*(self._sometime(happen) for happen in happenings))
        await asyncio.sleep(max(0.0, FAULTS_SECONDS - self.loop.time()))
        self.faults.over = True
        self.trace("world", "no more faults")

    async def _sometime(self, happen: Any) -> None:
        await asyncio.sleep(self.rng.random() * FAULTS_SECONDS)
        self.trace("world", happen.__name__.strip("_"))
        await happen()

    async def _kill(self) -> None:
        running = [one for several in self.fleet.processes.values() for one in several]
        if running:
            self.rng.choice(running).process.kill()

    async def _restart_database(self) -> None:
        self.rng.choice(list(self.fleet.stores.values())).restart()

    async def _block_broker(self) -> None:
        self.fleet.broker.flowing.clear()
        await asyncio.sleep(self.rng.random() * 4)
        self.fleet.broker.flowing.set()

    async def _unbind(self) -> None:
        exchange = self.rng.choice(("payment.exchange", "wallet.exchange", "webhook.exchange"))
        self.fleet.broker.unbound.add(exchange)
        await asyncio.sleep(self.rng.random() * 3)
        self.fleet.broker.unbound.discard(exchange)
