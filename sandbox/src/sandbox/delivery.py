"""Sends webhooks: kept-alive connections, bounded concurrency, retries on a schedule, and a log of what was sent."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Container, Sequence
from typing import Self

import aiohttp
import msgspec

from sandbox.clock import now_ms
from sandbox.latency import Latencies

_NO_ANSWER = 0


class Message(msgspec.Struct, frozen=True):
    """A signed webhook; *signer* is the key of the account whose secret signed it."""

    event: str
    order_id: str
    url: str
    body: bytes
    headers: dict[str, str]
    signer: str = ""


class Sent(msgspec.Struct, frozen=True):
    """One attempt, or a message that a fault dropped (attempt 0). Status 0 means no answer."""

    id: int
    message: Message
    attempt: int
    status: int
    error: str
    at_ms: int


class _Due(msgspec.Struct):
    message: Message
    attempt: int
    answered: "asyncio.Future[int] | None" = None


class Sender:
    """Delivers messages at least once, in no order, until they are accepted or the retry schedule ends.

    Only statuses in *accepted* end it. *attempt_header* names the header that counts the attempts, if there is one.
    """

    def __init__(
        self,
        *,
        connections: int,
        timeout_seconds: float,
        retry_seconds: Sequence[float],
        pending_max: int,
        log_max: int,
        accepted: Container[int] = frozenset({200}),
        attempt_header: str = "",
    ) -> None:
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._retry_seconds = retry_seconds
        self._pending_max = pending_max
        self._accepted = accepted
        self._attempt_header = attempt_header
        self._due: asyncio.Queue[_Due] = asyncio.Queue()
        self._waiting: set[asyncio.TimerHandle] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._client: aiohttp.ClientSession | None = None
        self._ids = itertools.count(1)
        self._busy = 0
        self.log: deque[Sent] = deque(maxlen=log_max)
        self.delivered = self.failed = self.given_up = self.refused = 0
        self.latencies = Latencies()

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._connections)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel_waiting()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    @property
    def pending(self) -> int:
        """Messages that are queued, being sent, or waiting for a retry or a delay."""
        return self._due.qsize() + len(self._waiting) + self._busy

    def send(self, message: Message, delay_ms: int = 0) -> None:
        """Deliver *message*, after *delay_ms*, without waiting for it; beyond the bound it is refused and counted."""
        if self.pending >= self._pending_max:
            self.refused += 1
            return
        self._schedule(_Due(message, 1), delay_ms / 1000)

    async def deliver(self, message: Message) -> int:
        """Deliver *message* and wait for the first answer: its HTTP status, or 0 without one."""
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._due.put_nowait(_Due(message, 1, answered))
        return await answered

    def record_dropped(self, message: Message, reason: str) -> None:
        """Record a message that a fault dropped."""
        self._record(message, 0, _NO_ANSWER, reason)

    def cancel_waiting(self) -> None:
        """Cancel everything that is not being sent yet."""
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        while not self._due.empty():
            due = self._due.get_nowait()
            if due.answered is not None and not due.answered.done():
                due.answered.set_result(_NO_ANSWER)

    def _schedule(self, due: _Due, delay_seconds: float) -> None:
        if delay_seconds <= 0:
            self._due.put_nowait(due)
            return

        def ready() -> None:
            self._waiting.discard(handle)
            self._due.put_nowait(due)

        handle = asyncio.get_running_loop().call_later(delay_seconds, ready)
        self._waiting.add(handle)

    async def _work(self) -> None:
        while True:
            due = await self._due.get()
            self._busy += 1
            try:
                status = await self._attempt(due)
            finally:
                self._busy -= 1
            if due.answered is not None and not due.answered.done():
                due.answered.set_result(status)
                due.answered = None
            if status in self._accepted:
                self.delivered += 1
            elif due.attempt <= len(self._retry_seconds):
                self.failed += 1
                wait = self._retry_seconds[due.attempt - 1]
                due.attempt += 1
                self._schedule(due, wait)
            else:
                self.failed += 1
                self.given_up += 1

    async def _attempt(self, due: _Due) -> int:
        message = due.message
        assert self._client is not None, "the sender is entered before it sends"
        headers = (
            {**message.headers, self._attempt_header: str(due.attempt)} if self._attempt_header else message.headers
        )
        status, error = _NO_ANSWER, ""
        started = time.perf_counter()
        try:
            async with self._client.post(
                message.url, data=message.body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()  # so that the connection is kept
                status = response.status
            self.latencies.observe(time.perf_counter() - started)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            error = f"{type(problem).__name__}: {problem}"
        self._record(message, due.attempt, status, error)
        return status

    def _record(self, message: Message, attempt: int, status: int, error: str) -> None:
        self.log.append(Sent(next(self._ids), message, attempt, status, error, now_ms()))
