"""The storm against a small real server: what is due leaves, what is rejected comes again, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from loadtests.http_client import Address, post
from loadtests.webhooks.open_loop_sender import OpenLoopSender

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SHED = b"HTTP/1.1 503 X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
SHED_SILENTLY = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"
HANG_UP = b""


@asynccontextmanager
async def answering(reply: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """The URL of a server that answers each body with the bytes that *reply* makes of it."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                answer = reply(await reader.readexactly(length))
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    listener = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


def requests(count: int) -> list[bytes]:
    return [post("/hook", Address("127.0.0.1", 1), b"%d" % number) for number in range(count)]


async def test_everything_leaves_when_it_is_due_and_is_accepted() -> None:
    async with answering(lambda _: OK) as url:
        flood = OpenLoopSender(url, requests(100), rate=500)
        outcome = await flood.run()
        assert (len(outcome.accepted_at), outcome.left, dict(outcome.failures)) == (100, [], {})
        assert outcome.bodies.keys() == set(range(100))
        assert 0.15 < outcome.ended_at - outcome.started_at < 2
        assert all(seconds >= 0 for seconds in outcome.accept_seconds)
        await flood.redeliver()
        assert outcome.redeliveries == 0


async def test_what_is_turned_away_is_delivered_again_until_it_is_accepted() -> None:
    seen: dict[bytes, int] = {}

    def third_time_lucky(body: bytes) -> bytes:
        seen[body] = seen.get(body, 0) + 1
        return OK if int(body) % 2 or seen[body] > 2 else SHED

    async with answering(third_time_lucky) as url:
        flood = OpenLoopSender(url, requests(40), rate=400)
        outcome = await flood.run()
        assert (len(outcome.accepted_at), len(outcome.shed_at)) == (20, 20)
        assert outcome.left == list(range(0, 40, 2))
        assert outcome.shed_without_retry_after == 0
        await flood.redeliver()
    assert outcome.bodies.keys() == set(range(40))
    assert outcome.redeliveries == 40
    assert len(outcome.accepted_at) == 20, "the rate is that of the storm alone"


async def test_a_lost_connection_is_opened_again_and_its_delivery_made_again() -> None:
    hung_up: set[bytes] = set()

    def once(body: bytes) -> bytes:
        if int(body) % 10 == 0 and body not in hung_up:
            hung_up.add(body)
            return HANG_UP
        return OK

    async with answering(once) as url:
        flood = OpenLoopSender(url, requests(50), rate=500)
        outcome = await flood.run()
        assert outcome.left == [0, 10, 20, 30, 40]
        assert dict(outcome.failures) == {"ConnectionLost": 5}
        await flood.redeliver()
    assert outcome.bodies.keys() == set(range(50))


@pytest.mark.parametrize(("answer", "failures"), [(SHED_SILENTLY, {}), (OK.replace(b"200", b"500"), {"500 {}": 10})])
async def test_what_is_not_as_promised_shows(answer: bytes, failures: dict[str, int]) -> None:
    async with answering(lambda _: answer) as url:
        outcome = await OpenLoopSender(url, requests(10), rate=500).run()
    assert dict(outcome.failures) == failures
    assert outcome.shed_without_retry_after == (10 if not failures else 0)
    assert outcome.left == list(range(10))
