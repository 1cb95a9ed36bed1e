"""Calling another service: every call says how long it may take, who is calling and what it is for.

Calls are spread over all replicas of the callee: those of a list of addresses, or of a name that has several (a
headless service). One that is about to stop says so by the health protocol and gets no more of them.

The channel below wraps the calls of generated stubs directly: grpc.aio's interceptors would make a task per call.
"""

import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, cast
from urllib.parse import urlsplit

import grpc
import grpc.aio
import msgspec

from commdesk.common.v1 import common_pb2
from common import context
from common.errors import (
    DomainError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    revived,
)
from common.grpc_certificates import Certificates, target_options
from common.metadata import (
    AUTHORIZATION,
    CORRELATION_ID,
    ERROR_CODE,
    ERROR_FIELDS,
    ERROR_KIND,
    IP,
    LINKS,
    MERCHANT_ID,
    MESSAGE_BYTES_MAX,
    REQUEST_ID,
    RETRY_AFTER,
    TRACEPARENT,
    USER_AGENT,
    USER_ID,
    CallNotAllowed,
)
from common.tokens import ServiceTokenInvalid, ServiceTokens

_SPREAD = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
OPTIONS = (
    ("grpc.service_config", json.dumps(_SPREAD)),
    # A replica that has gone is looked up anew; the default waits for half a minute after the look-up before.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A callee that restarts is back within a second; the default waits up to two minutes before it looks again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
# How long one attempt to connect may take, whatever gRPC's name for it. A handshake of TLS on a busy machine takes
# hundreds of milliseconds; given up too early, it begins again and adds to what keeps the machine busy.
PLAIN_CONNECT = (("grpc.min_reconnect_backoff_ms", 100),)
TLS_CONNECT = (("grpc.min_reconnect_backoff_ms", 5_000),)


class CalleeFailed(Unavailable):
    """The other service did not carry out the call and gave no verdict: a bug there, or it refused us as a caller."""

    fix = "Send the same request again after Retry-After; the operators know."


class CalleeUnavailable(Unavailable):
    """The other service did not answer in time; whether it did anything is not known."""

    fix = "Send the same request again after Retry-After, with the same idempotency key."


def channel(
    address: str, service_tokens: ServiceTokens, audience: str, certificates: Certificates | None = None
) -> grpc.aio.Channel:
    """A channel to *audience* at *address* (as `target` reads it) for generated stubs. Every call must pass `timeout=`.

    With *certificates* it speaks mutual TLS, and only with an owner of a certificate of *audience*. Raises ValueError.
    """
    address = target(address)
    if certificates is None:
        inner = grpc.aio.insecure_channel(address, options=(*OPTIONS, *PLAIN_CONNECT))
    else:
        options = (*OPTIONS, *TLS_CONNECT, *target_options(audience))
        inner = grpc.aio.secure_channel(address, certificates.channel_credentials(), options=options)
    return _Channel(inner, service_tokens, audience)


def target(address: str) -> str:
    """What gRPC calls one or several replicas at *address*: `host:port`, or several, comma-separated, each by its IP.

    Raises ValueError for several that are not IP addresses: gRPC looks up one name alone.
    """
    replicas = [each.strip() for each in address.split(",")]
    if len(replicas) == 1:
        return address
    versions = {ipaddress.ip_address(urlsplit(f"//{each}").hostname or "").version for each in replicas}
    if len(versions) > 1:
        raise ValueError("replicas are called by IPv4 or by IPv6 addresses, not by both")
    return f"ipv{versions.pop()}:{','.join(replicas)}"


# What the status alone says, from a callee that sent no code (a proxy, or gRPC itself).
_KIND_OF_STATUS: dict[grpc.StatusCode, type[DomainError]] = {
    grpc.StatusCode.UNAVAILABLE: CalleeUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: CalleeUnavailable,
    grpc.StatusCode.CANCELLED: CalleeUnavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
}
# Our own credentials were refused: that is our fault, and says nothing of our caller's request.
_OURS = frozenset({ServiceTokenInvalid.code, CallNotAllowed.code})


def errors_from(rpc_error: grpc.aio.AioRpcError) -> DomainError:
    """The error that the callee raised, with its kind, code and fields; what is no verdict is Unavailable."""
    trailers: dict[str, Any] = dict(cast(Any, rpc_error.trailing_metadata()) or ())
    code, kind = trailers.get(ERROR_CODE, ""), trailers.get(ERROR_KIND, "")
    if not kind or code in _OURS:
        return _KIND_OF_STATUS.get(rpc_error.code(), CalleeFailed)(
            "the service that this needs does not answer" if not code else "the service that this needs refused us"
        )
    fields = msgspec.json.decode(trailers[ERROR_FIELDS], type=dict[str, str]) if ERROR_FIELDS in trailers else None
    error = revived(code, kind, rpc_error.details() or "", fields)
    if RETRY_AFTER in trailers and hasattr(error, "retry_after_seconds"):
        error.retry_after_seconds = int(trailers[RETRY_AFTER])
    return error


@contextmanager
def verdicts() -> Iterator[None]:
    """`with verdicts(): await stub.Method(…)` raises the callee's DomainError instead of an AioRpcError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise errors_from(error) from error


def error_message(error: DomainError) -> common_pb2.Error:
    """*error* as one item's result in a batch."""
    return common_pb2.Error(code=error.code, message=error.message, kind=error.kind, fields=error.fields)


def error_from(message: common_pb2.Error) -> DomainError:
    """The error that an item's result carries; its code is kept though its class is another service's."""
    return revived(message.code, message.kind, message.message, dict(message.fields))


class _Call:
    """One method of the callee; adds the metadata and insists on a deadline."""

    def __init__(self, method: str, call: Any, service_tokens: ServiceTokens, audience: str) -> None:
        self._method = method
        self._call = call
        self._tokens = service_tokens
        self._audience = audience

    def __call__(self, request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
        if timeout is None:
            raise TypeError(f"{self._method} is called without timeout=")
        return self._call(request, timeout=timeout, metadata=self._metadata(metadata), **options)

    def _metadata(self, own: Any) -> tuple[tuple[str, str | bytes], ...]:
        now = context.current()
        metadata: list[tuple[str, str | bytes]] = [(AUTHORIZATION, f"Bearer {self._tokens.issue(self._audience)}")]
        for key, value in (
            (REQUEST_ID, now.request_id),
            (CORRELATION_ID, now.correlation_id),
            (TRACEPARENT, now.traceparent),
            (USER_ID, now.user_id),
            (MERCHANT_ID, now.merchant_id),
            (IP, now.ip),
        ):
            if value:
                metadata.append((key, value))
        if now.links:
            metadata.append((LINKS, ",".join(now.links)))
        if now.user_agent:
            metadata.append((USER_AGENT, now.user_agent.encode()))
        return (*metadata, *(own or ()))


class _Channel(grpc.aio.Channel):
    """grpc.aio's channel with `_Call` around unary methods; the fleet has no others."""

    def __init__(self, inner: grpc.aio.Channel, service_tokens: ServiceTokens, audience: str) -> None:
        self._inner = inner
        self._tokens = service_tokens
        self._audience = audience

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()

    def unary_unary(self, method: Any, *args: Any, **options: Any) -> Any:
        return _Call(str(method), self._inner.unary_unary(method, *args, **options), self._tokens, self._audience)

    def unary_stream(self, method: Any, *args: Any, **options: Any) -> Any:
        raise TypeError(f"{method} is a stream; the fleet has unary methods only")

    def stream_unary(self, method: Any, *args: Any, **options: Any) -> Any:
        raise TypeError(f"{method} is a stream; the fleet has unary methods only")

    def stream_stream(self, method: Any, *args: Any, **options: Any) -> Any:
        raise TypeError(f"{method} is a stream; the fleet has unary methods only")
