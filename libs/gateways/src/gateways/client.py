"""The one HTTP client: a kept-alive, bounded pool; every call has a deadline, a size cap, a quota and no redirects."""

import asyncio
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from gateways import GatewayAccount, GatewayCall, Unknown
from gateways.limiter import Limiter, QuotaExhaustedError, Turns

CONNECTIONS_MAX = 64
ANSWER_BYTES_MAX = 1 << 20
KEEP_ALIVE_SECONDS = 30


class HttpRequest(msgspec.Struct, frozen=True):
    """One HTTP request, without host and credentials."""

    # Quotas are counted and calls recorded by it.
    operation: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = {}


class HttpAnswer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class GatewayClient:
    """Calls one account's gateway. *on_call* is given every call that was made; *turns_of* an operation are shared by
    all callers of the account, None when there are no others.
    """

    def __init__(
        self,
        account: GatewayAccount,
        headers: Mapping[str, str],
        on_call: Callable[[GatewayCall], None],
        turns_of: Callable[[str], Turns] | None = None,
    ) -> None:
        self._account = account
        self._base_url = account.base_url.rstrip("/")
        self._headers = headers
        self._on_call = on_call
        self._turns_of = turns_of
        self._limiters: dict[str, Limiter] = {}

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

    async def send(self, request: HttpRequest, order_id: str, timeout_seconds: float) -> HttpAnswer | Unknown:
        """The answer, or why there is none. Never raises for what the network does."""
        limiter = self._limiter(request.operation)
        started = time.perf_counter()
        status, outcome = 0, "answered"
        try:
            async with asyncio.timeout(timeout_seconds):
                await limiter.turn(timeout_seconds)
                headers = request.headers
                if request.body:
                    headers = {**headers, "content-type": "application/json"}
                async with self._session.request(
                    request.method,
                    self._base_url + request.path,
                    data=request.body or None,
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    status = response.status
                    limiter.learn(status, response.headers)
                    body = await _bounded(response)
        except QuotaExhaustedError as error:
            outcome = "quota"
            return Unknown("rate_limited", error.retry_after_seconds)
        except TimeoutError:
            outcome = "timeout"
            return Unknown("timeout")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            outcome = "no_answer"
            return Unknown(type(error).__name__)
        finally:
            ms = round((time.perf_counter() - started) * 1000, 2)
            account = self._account
            self._on_call(GatewayCall(account.gateway, account.id, request.operation, order_id, status, outcome, ms))
        return HttpAnswer(status, body)

    def _limiter(self, operation: str) -> Limiter:
        limiter = self._limiters.get(operation)
        if limiter is None:
            limiter = self._limiters[operation] = Limiter(self._turns_of(operation) if self._turns_of else None)
        return limiter


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
