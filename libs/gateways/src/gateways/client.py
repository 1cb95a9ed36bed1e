"""The one HTTP client: a kept-alive, bounded pool; every call has a deadline, a size cap, a quota and no redirects."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import RequestError
from pyreqwest.response import Response

from gateways import GatewayAccount, GatewayCall, Unknown
from gateways.limiter import Limiter, QuotaExhaustedError, Turns

CONNECTIONS_MAX = 64
ANSWER_BYTES_MAX = 1 << 20
KEEP_ALIVE = timedelta(seconds=30)
USER_AGENT = "commdesk-pay"


class HttpRequest(msgspec.Struct, frozen=True):
    """One HTTP request, without host and credentials."""

    # Quotas are counted and calls recorded by it.
    operation: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = {}
    answer_bytes_max: int = ANSWER_BYTES_MAX


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
        self.open()
        return self

    def open(self) -> None:
        """Make the pool of connections; nothing is sent. Close it with `close`."""
        # What the environment says about proxies is not asked: calls go where the account says and nowhere else. The
        # whole call is timed below, the wait for a connection included. Answers are small and their size is bounded as
        # they come, so they are not to be compressed.
        self._http = (
            ClientBuilder()
            .default_headers(self._headers)
            .user_agent(USER_AGENT)
            .follow_redirects(False)
            .no_proxy()
            .max_connections(CONNECTIONS_MAX)
            .pool_max_idle_per_host(CONNECTIONS_MAX)
            .pool_idle_timeout(KEEP_ALIVE)
            .gzip(False)
            .brotli(False)
            .deflate(False)
            .zstd(False)
            .build()
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    async def send(self, request: HttpRequest, order_id: str, timeout_seconds: float) -> HttpAnswer | Unknown:
        """The answer, or why there is none. Never raises for what the network does."""
        limiter = self._limiter(request.operation)
        started = time.perf_counter()
        status, outcome = 0, "answered"
        try:
            async with asyncio.timeout(timeout_seconds):
                await limiter.turn(timeout_seconds)
                call = self._http.request(request.method, self._base_url + request.path).headers(request.headers)
                if request.body:
                    call = call.header("content-type", "application/json").body_bytes(request.body)
                response = await call.build().send()
                status = response.status
                limiter.learn(status, response.headers)
                body = await _bounded(response, request.answer_bytes_max)
        except QuotaExhaustedError as error:
            outcome = "quota"
            return Unknown("rate_limited", error.retry_after_seconds)
        except TimeoutError:
            outcome = "timeout"
            return Unknown("timeout")
        except (RequestError, OSError, ValueError) as error:
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


async def _bounded(response: Response, bytes_max: int) -> bytes:
    """The body, up to the cap. Raises ValueError beyond it."""
    chunks: list[bytes] = []
    left = bytes_max
    while (chunk := await response.body_reader.read_chunk()) is not None:
        left -= len(chunk)
        if left < 0:
            raise ValueError("the answer is too large")
        chunks.append(bytes(chunk))
    return b"".join(chunks)
