"""An open-loop sender: deliveries leave when they are due, whether or not those before them were answered."""

import asyncio
import gc
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial

from msgspec import Struct, field

from loadtests.http_client import Address, Answer, Connection, ConnectionLost
from loadtests.webhooks import config

ACCEPTED, OVERLOADED = 200, 503
# Of an answer that never came.
UNANSWERED = 0


class Outcome(Struct):
    """The outcome of each delivery. Times are seconds since 1970."""

    started_at: float = 0.0
    ended_at: float = 0.0
    """When the last delivery of the storm itself was answered."""
    accepted_at: list[float] = []
    accept_seconds: list[float] = []
    """From when it was due, among those accepted during the storm."""
    shed_seconds: list[float] = []
    shed_at: list[float] = []
    bodies: dict[int, bytes] = {}
    """What each accepted delivery was answered with."""
    left: list[int] = []
    """Deliveries to be made again: rejected with 503, or unanswered."""
    shed_without_retry_after: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    late_most_seconds: float = 0.0
    """By how much the generator itself was behind at worst: then the model was not open."""
    redeliveries: int = 0
    redelivered_at: list[float] = []
    """When each of those left was accepted after all."""


class OpenLoopSender:
    """*requests* at *rate* a second through the edge, then again those that were rejected with 503."""

    def __init__(self, edge_url: str, requests: Sequence[bytes], rate: int) -> None:
        self._address = Address.of(edge_url)
        self._requests = requests
        self._rate = rate
        self._idle: deque[Connection] = deque()
        self._under_way = 0
        self._reopening: set[asyncio.Task[None]] = set()
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Deliver each once. Connections that are lost are opened again meanwhile; deliveries go on."""
        # Looking for garbage among all that was prepared would stop the clock for a quarter of a second.
        gc.collect()
        gc.disable()
        try:
            return await self._run()
        finally:
            gc.enable()

    async def _run(self) -> Outcome:
        outcome = self.outcome
        connections = [Connection(self._address) for _ in range(config.CONNECTIONS)]
        for connection in connections:
            await connection.open()
        self._idle.extend(connections)
        outcome.started_at = time.time()
        number = 0
        while number < len(self._requests):
            now = time.time()
            due = min(int((now - outcome.started_at) * self._rate), len(self._requests))
            while number < due and self._idle:
                self._deliver(self._idle.popleft(), number, now)
                number += 1
            await asyncio.sleep(config.TICK_SECONDS)
        ends = time.monotonic() + config.ANSWER_SECONDS_MAX
        while self._under_way and time.monotonic() < ends:
            await asyncio.sleep(config.TICK_SECONDS)
        outcome.ended_at = time.time()
        for connection in connections:
            connection.close()
        await asyncio.sleep(0)
        outcome.left.sort()
        return outcome

    def _deliver(self, connection: Connection, number: int, now: float) -> None:
        due = self.outcome.started_at + number / self._rate
        self.outcome.late_most_seconds = max(self.outcome.late_most_seconds, now - due)
        if not connection.is_open:
            self.outcome.failures["connection lost before"] += 1
            self.outcome.left.append(number)
            self._reopen(connection)
            return
        self._under_way += 1
        connection.send(self._requests[number]).add_done_callback(partial(self._answered, connection, number, due))

    def _answered(self, connection: Connection, number: int, due: float, answered: asyncio.Future[Answer]) -> None:
        now = time.time()
        outcome = self.outcome
        self._under_way -= 1
        if answered.cancelled() or (error := answered.exception()) is not None:
            outcome.failures["unanswered" if answered.cancelled() else type(error).__name__] += 1
            outcome.left.append(number)
            self._reopen(connection)
            return
        self._idle.append(connection)
        answer = answered.result()
        if answer.status == ACCEPTED:
            outcome.accepted_at.append(now)
            outcome.accept_seconds.append(now - due)
            outcome.bodies[number] = answer.body
            return
        outcome.left.append(number)
        if answer.status == OVERLOADED:
            outcome.shed_at.append(now)
            outcome.shed_seconds.append(now - due)
            outcome.shed_without_retry_after += answer.retry_after_seconds is None
        else:
            outcome.failures[f"{answer.status} {answer.body[:120].decode(errors='replace')}"] += 1

    def _reopen(self, connection: Connection) -> None:
        async def again() -> None:
            try:
                await connection.open()
            except OSError:
                await asyncio.sleep(0.5)
            self._idle.append(connection)

        task = asyncio.create_task(again())
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def redeliver(self) -> None:
        """Deliver what is left until all of it is accepted, as a gateway does minutes later. Raises TimeoutError."""
        outcome = self.outcome
        numbers = iter(outcome.left)
        dice = random.Random(1)  # noqa: S311 - jitter

        async def one(connection: Connection, number: int) -> None:
            while True:
                outcome.redeliveries += 1
                pause_seconds = 1.0
                try:
                    answer = await connection.ask(self._requests[number])
                    if answer.status == ACCEPTED:
                        outcome.bodies[number] = answer.body
                        outcome.redelivered_at.append(time.time())
                        return
                    pause_seconds = answer.retry_after_seconds or pause_seconds
                except (ConnectionLost, OSError):
                    connection.close()
                await asyncio.sleep(pause_seconds * dice.uniform(1, 2))

        async def gateway() -> None:
            connection = Connection(self._address)
            for number in numbers:
                await one(connection, number)
            connection.close()

        async with asyncio.timeout(config.REDELIVERY_SECONDS_MAX), asyncio.TaskGroup() as group:
            for _ in range(min(config.CONNECTIONS_AFTER, len(outcome.left))):
                group.create_task(gateway())
