"""Cashfree over HTTP: one kept-alive, bounded pool; every call has a deadline, a size cap and no redirects."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from payment.domain import Claim, OrderMissing, OrderView, Unknown
from payment.gateways import Heard, OrderAnswer, OrderRequest, Parked, ReadAnswer, Unreadable, cashfree
from payment.gateways.cashfree import Call, Exists
from payment.gateways.limiter import Limiter, QuotaExhaustedError

CONNECTIONS_MAX = 64
ANSWER_BYTES_MAX = 1 << 20
KEEP_ALIVE_SECONDS = 30


class Account(msgspec.Struct, frozen=True):
    """Where and as whom to call; *notify_url* is where Cashfree sends its webhooks."""

    base_url: str
    app_id: str
    secret_key: str
    api_version: str
    notify_url: str


class CallMade(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a call: no bodies."""

    operation: str
    order_id: str
    # 0 when there was no answer.
    http_status: int
    outcome: str
    ms: float


class CashfreeGateway:
    """The Gateway of one Cashfree account. *on_call* hears of every call that was made."""

    name = cashfree.NAME

    def __init__(self, account: Account, on_call: Callable[[CallMade], None]) -> None:
        self._account = account
        self._base = account.base_url.rstrip("/")
        self._on_call = on_call
        self._limiters: defaultdict[str, Limiter] = defaultdict(Limiter)
        self._headers = {
            "x-client-id": account.app_id,
            "x-client-secret": account.secret_key,
            "x-api-version": account.api_version,
            "accept": "application/json",
        }

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=60
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            # The whole call is timed below, the wait for a connection included.
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def create_order(self, order: OrderRequest, timeout_seconds: float) -> OrderAnswer:
        call = cashfree.build_create_order(order, self._account.notify_url)
        status, body = await self._send(call, order.order_id, timeout_seconds)
        answer = status if isinstance(status, Unknown) else cashfree.read_create_order(order.order_id, status, body)
        if not isinstance(answer, Exists):
            return answer
        there = await self.read_order(order.order_id, timeout_seconds)
        # 422 says that the key was used, not that the order was made: without an order nothing is known.
        return Unknown("order_not_found_after_conflict") if isinstance(there, OrderMissing) else there

    async def read_order(self, order_id: str, timeout_seconds: float) -> ReadAnswer:
        status, body = await self._send(cashfree.build_read_order(order_id), order_id, timeout_seconds)
        return status if isinstance(status, Unknown) else cashfree.read_read_order(order_id, status, body)

    async def read_payments(self, order_id: str, timeout_seconds: float) -> Sequence[Claim] | Unknown:
        status, body = await self._send(cashfree.build_read_payments(order_id), order_id, timeout_seconds)
        return status if isinstance(status, Unknown) else cashfree.read_read_payments(order_id, status, body)

    async def terminate_order(self, order_id: str, timeout_seconds: float) -> OrderView | OrderMissing | Unknown:
        status, body = await self._send(cashfree.build_terminate_order(order_id), order_id, timeout_seconds)
        answer = status if isinstance(status, Unknown) else cashfree.read_terminate_order(order_id, status, body)
        return await self.read_order(order_id, timeout_seconds) if isinstance(answer, Exists) else answer

    def read_webhook(self, body: bytes) -> Heard | Parked | Unreadable:
        return cashfree.read_webhook(body)

    async def _send(self, call: Call, order_id: str, timeout_seconds: float) -> tuple[int | Unknown, bytes]:
        """Status and body of the answer, or why there is none. Never raises for what the network does."""
        limiter = self._limiters[call.operation]
        started = time.perf_counter()
        status, outcome = 0, "answered"
        try:
            async with asyncio.timeout(timeout_seconds):
                await limiter.turn(timeout_seconds)
                headers = {"x-idempotency-key": call.idempotency_key} if call.idempotency_key else {}
                if call.body:
                    headers["content-type"] = "application/json"
                async with self._session.request(
                    call.method, self._base + call.path, data=call.body or None, headers=headers, allow_redirects=False
                ) as response:
                    status = response.status
                    limiter.learn(status, response.headers)
                    body = await _bounded(response)
        except QuotaExhaustedError as error:
            outcome = "quota"
            return Unknown("rate_limited", error.retry_after_seconds), b""
        except TimeoutError:
            outcome = "timeout"
            return Unknown("timeout"), b""
        except (aiohttp.ClientError, OSError, ValueError) as error:
            outcome = "no_answer"
            return Unknown(type(error).__name__), b""
        finally:
            ms = (time.perf_counter() - started) * 1000
            self._on_call(CallMade(call.operation, order_id, status, outcome, round(ms, 2)))
        return status, body


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, up to the cap. Raises ValueError beyond it."""
    body = await response.content.read(ANSWER_BYTES_MAX + 1)
    chunks = [body]
    size = len(body)
    while body:
        if size > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too large")
        body = await response.content.read(ANSWER_BYTES_MAX + 1 - size)
        chunks.append(body)
        size += len(body)
    return b"".join(chunks)
