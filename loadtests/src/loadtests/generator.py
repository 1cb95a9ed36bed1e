"""Makes payments through the edge and pays for them at the gateway's simulator: the load, and nothing else."""

import asyncio
import itertools
import random
import secrets
import time
from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

from loadtests import config
from loadtests.http_client import Address, Answer, Connection, ConnectionLost, post

CREATE_PATH = "/api/v1/payments/create"
OVERLOADED = 503
TRIES_MAX = 5
CONNECTIONS_MAX = 512


class _Created(msgspec.Struct):
    order_id: str = msgspec.field(name="orderId")
    payment_id: str = msgspec.field(name="paymentId")


class _CreatedAnswer(msgspec.Struct):
    data: _Created


class _PaidAnswer(msgspec.Struct):
    paid: int
    refused: dict[str, str]


class Outcome(Struct):
    """What the load did. Times are seconds since 1970; *create_seconds* runs from when a request was due."""

    started_at: float = 0.0
    created_at: list[float] = []
    create_seconds: list[float] = []
    payment_ids: list[str] = []
    order_ids: list[str] = []
    again: Counter[str] = field(default_factory=Counter)
    """Requests that were sent once more, by why."""
    failures: Counter[str] = field(default_factory=Counter)
    """Payments that were not created, by why."""
    unpaid: dict[str, str] = {}
    ended_at: float = 0.0

    @property
    def created_per_s(self) -> float:
        return len(self.created_at) / (self.ended_at - self.started_at)


class Payer:
    """Pays what was created, in bulk, a moment later: a customer at the gateway's page costs us nothing either."""

    def __init__(self, sandbox_url: str, outcome: Outcome, pay: bool = True) -> None:
        self._address = Address.of(sandbox_url)
        self._connection = Connection(self._address)
        self._outcome = outcome
        self._orders: list[str] = []
        self._expecting = pay

    def add(self, order_id: str) -> None:
        if self._expecting:
            self._orders.append(order_id)

    async def run(self) -> None:
        """Pay until `finish`; raises what went wrong."""
        while self._expecting:
            await asyncio.sleep(config.PAY_EVERY_SECONDS)
            await self._pay()
        await self._pay()  # what came while the last ones were being paid

    def finish(self) -> None:
        """Nothing is added any more: `run` pays what is left and returns."""
        self._expecting = False

    async def _pay(self) -> None:
        """Pay for everything that waits."""
        orders, self._orders = self._orders, []
        if not orders:
            return
        body = msgspec.json.encode({"order_ids": orders, "outcome": "success", "delay_ms": 0})
        answer = await self._connection.ask(post("/control/pay", self._address, body))
        if answer.status != 200:
            raise RuntimeError(f"the sandbox answered {answer.status}: {answer.body[:300]!r}")
        self._outcome.unpaid |= msgspec.json.decode(answer.body, type=_PaidAnswer).refused

    def close(self) -> None:
        self._connection.close()


class Generator:
    """One run of *payments* creates, each with its own idempotency key, the members taking turns."""

    def __init__(self, edge_url: str, sandbox_url: str, tokens: Sequence[str]) -> None:
        self._edge = Address.of(edge_url)
        body = msgspec.json.encode({"packId": config.PACK_ID})
        run = secrets.token_hex(6)
        key = "{key}"
        requests = [
            post(CREATE_PATH, self._edge, body, f"Authorization: Bearer {token}\r\nIdempotency-Key: {key}\r\n")
            for token in tokens
        ]
        self._requests = itertools.cycle([tuple(request.split(key.encode())) for request in requests])
        self._keys = (f"bench-{run}-{number}".encode() for number in itertools.count())
        self._sandbox_url = sandbox_url
        self._stopped = False
        self.outcome = Outcome()

    async def run(self, payments: int, *, clients: int, rate: float, pay: bool = True) -> Outcome:
        """Create and *pay*. A closed model without *rate*: each client sends again as soon as it is answered."""
        outcome = self.outcome = Outcome()
        payer = Payer(self._sandbox_url, outcome, pay)
        outcome.started_at = time.time()
        load = self._open(payments, rate, payer) if rate else self._closed(payments, clients, payer)
        try:
            async with asyncio.timeout(config.ROUND_SECONDS_MAX), asyncio.TaskGroup() as group:
                group.create_task(payer.run())
                await load
                outcome.ended_at = time.time()
                payer.finish()
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            payer.close()
        return outcome

    def stop(self) -> None:
        """Create no more, if the model is an open one: `run` finishes what it has begun."""
        self._stopped = True

    async def _closed(self, payments: int, clients: int, payer: Payer) -> None:
        numbers = iter(range(payments))

        async def client() -> None:
            connection = Connection(self._edge)
            for _ in numbers:  # all clients draw from the same
                await self._create(connection, time.time(), payer)
            connection.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(clients, payments)):
                group.create_task(client())

    async def _open(self, payments: int, rate: float, payer: Payer) -> None:
        """Arrivals as strangers make them (exponential gaps, always the same ones), whether or not we keep up."""
        gaps = random.Random(1)  # noqa: S311 - nobody guesses arrivals
        idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        opened = 0
        due = time.time()

        async def one(connection: Connection, due: float) -> None:
            await self._create(connection, due, payer)
            idle.put_nowait(connection)

        async with asyncio.TaskGroup() as group:
            for _ in range(payments):
                if self._stopped:
                    break
                due += gaps.expovariate(rate)
                if (early := due - time.time()) > 0:
                    await asyncio.sleep(early)
                if idle.empty() and opened < CONNECTIONS_MAX:
                    opened += 1
                    idle.put_nowait(Connection(self._edge))
                group.create_task(one(await idle.get(), due))
        while not idle.empty():
            idle.get_nowait().close()

    async def _create(self, connection: Connection, due: float, payer: Payer) -> None:
        """One payment: created, or counted as failed. What is overloaded or lost is sent again under its key."""
        before, after = next(self._requests)
        request = before + next(self._keys) + after
        outcome = self.outcome
        for _ in range(TRIES_MAX):
            try:
                async with asyncio.timeout(config.REQUEST_SECONDS_MAX):
                    answer = await connection.ask(request)
            except (ConnectionLost, OSError, TimeoutError) as error:
                outcome.again[type(error).__name__] += 1
                connection.close()
                continue
            if answer.status != OVERLOADED:
                self._answered(answer, due, payer)
                return
            outcome.again[f"{answer.status}"] += 1
            await asyncio.sleep(1)  # what Retry-After says
        outcome.failures[f"not answered in {TRIES_MAX} tries"] += 1

    def _answered(self, answer: Answer, due: float, payer: Payer) -> None:
        outcome = self.outcome
        if answer.status != 201:
            outcome.failures[f"{answer.status} {answer.body[:120].decode(errors='replace')}"] += 1
            return
        created = msgspec.json.decode(answer.body, type=_CreatedAnswer).data
        now = time.time()
        outcome.created_at.append(now)
        outcome.create_seconds.append(now - due)
        outcome.payment_ids.append(created.payment_id)
        outcome.order_ids.append(created.order_id)
        payer.add(created.order_id)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One error says what went wrong; the others follow from it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
