"""Requests that carry an API key: who calls, whether they may, how often, and the line in their merchant's log."""

import time
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

from common import api_versions, ids
from common.api_keys import ApiKeys, Environment, Presented, ResolvedKey, presented
from common.errors import ResourceExhausted
from common.rate_limits import Allowance, Quota, RateLimiter
from common.request_log import LoggedRequest, RequestLog
from common.tokens import Caller

# Where, in a request's scope, the server leaves the KeyRequest.
KEY_REQUEST: Final = "commdesk.key_request"
_VERSION: Final = api_versions.HEADER.lower().encode()


class RateLimitExceeded(ResourceExhausted):
    """The API key has sent more requests than its quota allows."""

    fix = "Wait for as long as Retry-After says; RateLimit-Remaining tells beforehand how many requests are left."


class KeyRequest:
    """One request by an API key, from its authentication to its answer."""

    def __init__(self, key: ResolvedKey, headers: Mapping[bytes, bytes]) -> None:
        self._key = key
        self._started = time.perf_counter()
        self._version = headers.get(_VERSION, b"").decode("latin-1") or key.api_version
        self._allowance: Allowance | None = None
        # The decoded body, once it has been read.
        self.body: object = None

    @property
    def caller(self) -> Caller:
        return self._key.caller

    def check_version(self) -> None:
        """Raises ApiVersionUnknown."""
        try:
            api_versions.validated(self._version)
        except api_versions.ApiVersionUnknown:
            self._version = self._key.api_version
            raise

    def count(self, allowance: Allowance) -> None:
        """Note what is left of the quota. Raises RateLimitExceeded."""
        self._allowance = allowance
        if allowance.retry_after_seconds:
            error = RateLimitExceeded("too many requests with this API key")
            error.retry_after_seconds = allowance.retry_after_seconds
            raise error

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What its answer says beside the answer: the version that it is in, and what is left of the quota."""
        lines = [(_VERSION, self._version.encode())]
        if (allowance := self._allowance) is not None:
            lines += [
                (b"ratelimit-limit", b"%d" % allowance.limit),
                (b"ratelimit-remaining", b"%d" % allowance.remaining),
                (b"ratelimit-reset", b"%d" % allowance.reset_seconds),
            ]
        return lines

    def logged(self, method: str, path: str, status: int, request_id: str, code: str) -> LoggedRequest:
        return LoggedRequest(
            ids.new(),
            self.caller.merchant_id,
            self.caller.api_key_id,
            method,
            path,
            status,
            int((time.perf_counter() - self._started) * 1e6),
            request_id,
            code,
            None,
        )


class KeyGate:
    """Lets requests with API keys in. One for each process."""

    def __init__(
        self, api_keys: ApiKeys, limiter: RateLimiter, quotas: Mapping[Environment, Quota], log: RequestLog
    ) -> None:
        self._api_keys = api_keys
        self._limiter = limiter
        self._quotas = quotas
        self._log = log

    async def admit(self, scope: Scope, carried: Presented, headers: Mapping[bytes, bytes], address: str) -> KeyRequest:
        """Authenticate and count the request, and leave it in its scope.

        Raises what ApiKeys.resolve raises, RateLimitExceeded, ApiKeyOriginNotAllowed, ApiKeyNetworkNotAllowed,
        ApiVersionUnknown.
        """
        key = await self._api_keys.resolve(carried, address)
        request = scope[KEY_REQUEST] = KeyRequest(key, headers)
        request.count(await self._limiter.take(key.caller.api_key_id, self._quotas[carried.key.environment]))
        key.check_place(headers.get(b"origin", b"").decode("latin-1"), address)
        request.check_version()
        return request

    def answered(
        self, request: KeyRequest, response: Response, method: str, path: str, request_id: str, code: str
    ) -> None:
        """Put the request's headers on its answer, and the request into the merchant's log."""
        response.raw_headers += request.headers()
        self._log.add(request.logged(method, path, response.status_code, request_id, code), request.body)


def carried_key(headers: Mapping[bytes, bytes]) -> Presented | None:
    """The API key of a request; None when it carries an access token, or nothing.

    Every JSON web token begins with `{"` in base64, no key does: most requests are told apart by three characters.
    """
    if headers.get(b"authorization", b"")[7:10] == b"eyJ" and b"x-api-key" not in headers:
        return None
    return presented(headers)
