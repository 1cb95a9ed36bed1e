"""The load against small real servers: an edge that creates payments, a simulator that takes them in bulk, slowly."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from loadtests.generator import Generator

Reply = Callable[[str, dict[str, str], dict[str, Any]], Awaitable[tuple[int, object]]]


@asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[str]:
    """The URL of an HTTP server that answers JSON with what *reply* makes of (path, headers, body)."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            first, *lines = head.decode().strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            status, content = await reply(first.split()[1], headers, body)
            answer = json.dumps(content).encode()
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)) + answer)

    async def until_hung_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listener = await asyncio.start_server(until_hung_up, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


class Shop:
    """Counts what it was asked."""

    def __init__(self, statuses: dict[int, int] | None = None) -> None:
        self._statuses = statuses or {}
        self._numbers = count()
        self.keys: list[str] = []
        self.members: set[str] = set()
        self.paid: list[str] = []

    async def create(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, object]:
        number = next(self._numbers)
        assert (path, body) == ("/api/v1/payments/create", {"packId": "pack_500"})
        self.keys.append(headers["idempotency-key"])
        self.members.add(headers["authorization"])
        status = self._statuses.get(number, 201)
        return status, {"success": True, "data": {"orderId": f"ord_{number}", "paymentId": f"pay_{number}", "x": 1}}

    async def pay(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, object]:
        assert path == "/control/pay"
        await asyncio.sleep(0.08)  # longer than the payer's own pause: orders come while others are being paid
        self.paid += body["order_ids"]
        return 200, {"paid": len(body["order_ids"]), "refused": {}}


@pytest.mark.parametrize(("clients", "rate"), [(4, 0.0), (1, 300.0)])
async def test_every_payment_is_created_once_under_its_own_key_and_paid_once(clients: int, rate: float) -> None:
    shop = Shop()
    async with answering(shop.create) as edge, answering(shop.pay) as sandbox:
        outcome = await Generator(edge, sandbox, ["one", "two", "three"]).run(60, clients=clients, rate=rate)
    assert sorted(outcome.payment_ids) == sorted(f"pay_{number}" for number in range(60))
    assert sorted(shop.paid) == sorted(f"ord_{number}" for number in range(60))
    assert len(set(shop.keys)) == len(shop.keys) == 60
    assert shop.members == {"Bearer one", "Bearer two", "Bearer three"}
    assert not outcome.failures
    assert len(outcome.create_seconds) == 60
    assert all(seconds >= 0 for seconds in outcome.create_seconds)


async def test_what_is_overloaded_is_sent_again_under_the_same_key() -> None:
    shop = Shop({0: 503})
    async with answering(shop.create) as edge, answering(shop.pay) as sandbox:
        outcome = await Generator(edge, sandbox, ["one"]).run(1, clients=1, rate=0)
    assert len(shop.keys) == 2
    assert len(set(shop.keys)) == 1
    assert outcome.again == {"503": 1}
    assert outcome.payment_ids == ["pay_1"]
    assert outcome.create_seconds[0] > 0.9  # the wait counts


async def test_what_is_refused_is_a_failure_and_is_not_paid() -> None:
    shop = Shop({1: 422})
    async with answering(shop.create) as edge, answering(shop.pay) as sandbox:
        outcome = await Generator(edge, sandbox, ["one"]).run(3, clients=1, rate=0)
    assert shop.paid == ["ord_0", "ord_2"]
    assert [reason[:3] for reason in outcome.failures] == ["422"]


async def test_a_simulator_that_cannot_pay_ends_the_run() -> None:
    async def broken(path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, object]:
        return 500, {}

    shop = Shop()
    async with answering(shop.create) as edge, answering(broken) as sandbox:
        with pytest.raises(RuntimeError, match="the sandbox answered 500"):
            await Generator(edge, sandbox, ["one"]).run(5, clients=1, rate=0)
