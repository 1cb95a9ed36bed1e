"""`simulate(seed)`: one schedule, from the empty fleet to rest, and what was wrong in the end."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from loguru import logger

from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from commdesk.wallet.v1.wallet_pb2 import Consumption, Owner
from common import (
    batching,
    broker,
    consuming,
    context,
    database,
    dead_letters,
    envelopes,
    handling,
    ids,
    intents,
    metrics,
    relay,
)  # fmt: skip
from common.database import is_transient
from common.errors import DomainError
from common.money import Money

from . import oracle, payments
from .faults import Faults
from .fleet import Fleet, Incarnation
from .gateway import GatewayTimeout
from .loop import Livelock, VirtualClock, VirtualLoop, VirtualTime
from .planted import Planted
from .process import Trace
from .wallets import POISON

FAULTS_SECONDS = 5.0
# Rest takes the ladder twice, the leases of outbox and intents, and the gateway's late customers; at most a minute.
REST_SECONDS = 240.0
REPLAYS = 1
# What reads `time`.
CLOCKED: tuple[Any, ...] = (ids, envelopes, handling, dead_letters, batching, metrics, consuming, intents, relay)
# Slower polls and a shorter lease than the product's, in proportion to the simulated confirm's timeout: an idle poll
# costs as much as a busy one and finds nothing.
PACES: tuple[tuple[Any, str, Any], ...] = (
    (relay, "MARK_SECONDS", 0.5),
    (relay, "SWEEP_SECONDS", 1.5),
    (relay, "LEASE", timedelta(seconds=5)),
    (intents, "POLL_SECONDS", 1.5),
)
PRODUCT = Planted()


@dataclass(frozen=True)
class Violation:
    """A schedule in which something did not hold; the seed says it all."""

    seed: int
    found: tuple[str, ...]
    kinds: tuple[str, ...]
    trace: tuple[str, ...] = field(repr=False, default=())

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, faults: {', '.join(self.kinds)}", *self.found])


def simulate(seed: int, planted: Planted = PRODUCT, *, traced: bool = False, keep: bool = False) -> Violation | None:
    """Run the schedule of *seed*; None when everything held, unless *keep* asks for the trace of that too.

    The same seed is the same schedule, to the last await.
    """
    rng = random.Random(seed)
    faults = Faults.swarm(rng)
    loop = VirtualLoop(rng)
    with _virtual(loop, seed), _without_guards(planted):
        world = World(loop, faults, planted, traced=traced)
        try:
            loop.run_until_complete(world.run())
            found = tuple(world.found)
        except Livelock as error:
            found = (f"livelock: {error}",)
        finally:
            world.close()
    if not found and not keep:
        return None
    return Violation(seed, found, tuple(sorted(faults.kinds)), tuple(world.trace.lines))


@contextmanager
def _without_guards(planted: Planted) -> Iterator[None]:
    """Guards that belong to no object which the fleet could make without them."""
    modules: tuple[Any, ...] = (broker, consuming)
    real = broker.stuck_is_lost
    for module in modules:
        module.stuck_is_lost = nullcontext if planted.silent_end else real
    try:
        yield
    finally:
        for module in modules:
            module.stuck_is_lost = real


@contextmanager
def _virtual(loop: VirtualLoop, seed: int) -> Iterator[None]:
    """Time and chance of the modules under test come from *loop* and *seed*."""
    time = VirtualTime(loop.time)
    clocked: list[Any] = [module for module in CLOCKED if hasattr(module, "time")]
    before = [module.time for module in clocked]
    for module in clocked:
        module.time = time
    chance = random.Random(seed)
    jittered: tuple[Any, ...] = (intents, database)
    for module in jittered:
        module.random = chance
    ids._RANDOM.seed(seed)
    context._RANDOM.seed(seed)
    ids._last_tick = 0
    paces = [(module, name, getattr(module, name)) for module, name, _ in PACES]
    for module, name, pace in PACES:
        setattr(module, name, pace)
    logger.disable("common")
    try:
        yield
    finally:
        logger.enable("common")
        for module, name, usual in paces:
            setattr(module, name, usual)
        for module, real in zip(clocked, before, strict=True):
            module.time = real
        for module in jittered:
            module.random = random
        ids._last_tick = 0


class World:
    """The fleet, its customers, and what befalls it."""

    def __init__(self, loop: VirtualLoop, faults: Faults, planted: Planted, *, traced: bool) -> None:
        self.loop = loop
        self.faults = faults
        self.rng = faults.rng
        self.trace = Trace(loop, wanted=traced)
        self.clock = VirtualClock(VirtualTime(loop.time))
        self.fleet = Fleet(loop, self.clock, faults, self.trace, planted)
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
            self.loop._turns = 0
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def _rest(self) -> bool:
        """Wait until nothing moves, replaying what died; what still lies there then was refused for good."""
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
