"""The gRPC server: who calls, may they, what it is for, how long it took, and which status an error has.

Handlers are wrapped once, when a servicer is registered, not looked up and re-made per call as interceptors do. Only
unary methods exist in the fleet: a batch is a repeated field, which is faster than a stream in Python.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from loguru import logger

from common import context, event_contexts, ids, logs, messages, telemetry, topology
from common.context import Context, is_request_id
from common.errors import (
    KINDS,
    Conflict,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    KeyReused,
    NotFound,
    PermissionDenied,
    RequestInvalid,
    ResourceExhausted,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unresolved,
    kind_of,
)
from common.grpc_certificates import Certificates, is_owner
from common.messages import MessageUnreadable
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

CONCURRENT_CALLS_MAX = 2_000
GRACE_SECONDS = 10.0

OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients ping every 30 s; the default would take that for abuse and hang up.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
    # Clients find out about new replicas when they connect: none keeps a connection for longer (calls are finished).
    ("grpc.max_connection_age_ms", 300_000),
)

STATUS: dict[type[DomainError], grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    Conflict: grpc.StatusCode.ALREADY_EXISTS,
    KeyReused: grpc.StatusCode.INVALID_ARGUMENT,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    TooLarge: grpc.StatusCode.OUT_OF_RANGE,
    Unresolved: grpc.StatusCode.ABORTED,
}
assert STATUS.keys() == set(KINDS), "every kind of error needs a gRPC status"

# What HTTP answers with 5xx.
_FAILURES = frozenset({grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE})

Behaviour = Callable[[Any, Any], Awaitable[Any]]
# What a servicer's method gets beside the request.
CallContext = grpc.aio.ServicerContext[Any, Any]
Registration = tuple[Callable[[Any, Any], None], object]

_calls = telemetry.counter("grpc_requests_total", "Calls answered", ["method", "status"])
_seconds = telemetry.histogram("grpc_request_duration_seconds", "Time to answer", ["method"])


def status_of(error: DomainError) -> grpc.StatusCode:
    """The gRPC status of *error*'s kind."""
    return STATUS[kind_of(error)]


class GrpcServer:
    """A gRPC server that runs; `stop` ends it."""

    def __init__(self, server: grpc.aio.Server, health_servicer: HealthServicer, port: int) -> None:
        self._server = server
        self._health = health_servicer
        self.port = port

    async def drain(self) -> None:
        """Tell clients that this server is about to stop: they turn to other replicas. It answers on."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Say so to health watchers, take no new calls, finish those in hand within *grace_seconds*."""
        await self.drain()
        await self._server.stop(grace_seconds)

    async def wait(self) -> None:
        """Return when the server has ended."""
        await self._server.wait_for_termination()


async def serve_grpc(
    port: int,
    services: Iterable[Registration],
    tokens: ServiceTokens,
    *,
    host: str = "127.0.0.1",
    certificates: Certificates | None = None,
    allowed_callers: Callable[[str], frozenset[str]] = topology.allowed_callers,
) -> GrpcServer:
    """Start serving pairs of (`add_…Servicer_to_server`, servicer); port 0 takes a free one.

    Raises RuntimeError when the port cannot be had. The audience that callers must name is the service of *tokens*.
    With *certificates* only clients with a certificate of the fleet's authority get in (mutual TLS), and a caller must
    own one in the name that its token says.
    """
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX)
    guarded = _Registrar(server, tokens, allowed_callers, checks_owner=certificates is not None)
    for add_to_server, servicer in services:
        add_to_server(servicer, guarded)
    # The health protocol is open to everybody: probes have no token.
    health_servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    for name in ("", *guarded.service_names):
        await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    if certificates is None:
        bound = server.add_insecure_port(f"{host}:{port}")
    else:
        bound = server.add_secure_port(f"{host}:{port}", certificates.server_credentials())
    await server.start()
    return GrpcServer(server, health_servicer, bound)


class _Registrar:
    """Stands in for the server while servicers are added, and wraps each handler on its way in."""

    def __init__(
        self,
        server: grpc.aio.Server,
        tokens: ServiceTokens,
        allowed_callers: Callable[[str], frozenset[str]],
        *,
        checks_owner: bool,
    ) -> None:
        self._server = server
        self._checks_owner = checks_owner
        self._tokens = tokens
        self._allowed_callers = allowed_callers
        self.service_names: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[object]) -> None:
        """Generated code offers the same methods twice; the named ones below are taken."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        wrapped = {}
        for name, handler in handlers.items():
            if handler.request_streaming or handler.response_streaming:
                raise TypeError(f"{service}/{name} is a stream; the fleet has unary methods only")
            method = f"/{service}/{name}"
            allowed = self._allowed_callers(method)
            wrapped[name] = grpc.unary_unary_rpc_method_handler(
                _Guarded(method, handler.unary_unary, self._tokens, allowed, checks_owner=self._checks_owner).__call__,
                request_deserializer=_reader(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        self.service_names.append(service)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))


class _Guarded:
    """One method, with everything that can be looked up before a call comes."""

    def __init__(
        self,
        method: str,
        behaviour: Behaviour,
        tokens: ServiceTokens,
        allowed: frozenset[str],
        *,
        checks_owner: bool,
    ) -> None:
        self._checks_owner = checks_owner
        self._method = method
        self._behaviour = behaviour
        self._tokens = tokens
        self._allowed = allowed

    async def __call__(self, request: Any, call: grpc.aio.ServicerContext[Any, Any]) -> Any:
        started, started_ns = time.perf_counter(), time.time_ns()
        metadata: dict[str, Any] = dict(call.invocation_metadata() or ())
        parent = _text(metadata, TRACEPARENT)
        request_id = _text(metadata, REQUEST_ID) or str(ids.new())
        about = _subject(request)
        now = Context(
            request_id=request_id,
            correlation_id=_text(metadata, CORRELATION_ID) or request_id,
            traceparent=telemetry.traceparent_for(parent),
            user_id=_text(metadata, USER_ID) or about.user_id,
            merchant_id=_text(metadata, MERCHANT_ID),
            ip=_text(metadata, IP),
            user_agent=metadata.get(USER_AGENT, b"").decode("utf-8", "replace"),
            payment_id=about.payment_id,
            order_id=about.order_id,
            links=_links(_text(metadata, LINKS)),
        )
        caller, code, status = "", "", grpc.StatusCode.CANCELLED
        with context.bind(now):
            try:
                caller = self._admit(metadata, call)
                if isinstance(request, MessageUnreadable):
                    raise _unreadable(request)
                # Past its deadline gRPC cancels the handler, and a query that is cancelled takes its connection along.
                # So the work goes on to its end, bounded by the time-outs of what it uses; nobody reads its answer.
                response = await asyncio.shield(asyncio.ensure_future(self._behaviour(request, call)))
                status = grpc.StatusCode.OK
                return response
            except DomainError as error:
                code, status = error.code, status_of(error)
                await call.abort(status, error.message or error.fix, _trailers(error))
            except grpc.aio.AbortError:
                status = grpc.StatusCode.UNKNOWN
                raise
            except Exception:  # noqa: BLE001 - a bug: no text of it leaves the process
                code, status = "internal_error", grpc.StatusCode.UNKNOWN
                logger.exception("the method failed")
                await call.abort(status, "internal error", ((ERROR_CODE, code),))
            finally:
                self._record(now, request, parent, caller, code, status, started_ns, time.perf_counter() - started)

    def _admit(self, metadata: Mapping[str, Any], call: CallContext) -> str:
        """The calling service. Raises ServiceTokenInvalid or CallNotAllowed."""
        scheme, _, token = _text(metadata, AUTHORIZATION).partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ServiceTokenInvalid("the call carries no service token")
        caller = self._tokens.verify(token, self._tokens.service)
        if self._checks_owner and not is_owner(caller, call):
            raise ServiceTokenInvalid("the service token is of another service than the certificate")
        if caller not in self._allowed:
            raise CallNotAllowed(f"{caller} may not call {self._method}")
        return caller

    def _record(
        self,
        now: Context,
        request: Any,
        parent: str,
        caller: str,
        code: str,
        status: grpc.StatusCode,
        started_ns: int,
        seconds: float,
    ) -> None:
        _calls.of(self._method, status.name).inc()
        _seconds.of(self._method).observe(seconds)
        level = logs.ERROR if status is grpc.StatusCode.UNKNOWN else logs.INFO
        if logs.enabled(level):
            fields: dict[str, Any] = {
                "method": self._method,
                "status": status.name,
                "durationMs": round(seconds * 1000, 2),
            }
            fields["caller"] = caller
            if code:
                fields["code"] = code
            if not now.payment_id and (payment_ids := _payment_ids(request)):
                fields["paymentIds"] = payment_ids
            logs.line(level, __name__, f"{self._method} {status.name}", fields)
        telemetry.record_span(
            self._method[1:],
            now.traceparent,
            started_ns,
            started_ns + int(seconds * 1e9),
            parent=parent if parent[3:35] == now.traceparent[3:35] else None,
            attributes={"rpc.system": "grpc", "rpc.grpc.status_code": int(status.value[0])},
            failed=status in _FAILURES,
        )


def _reader(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """What reads a request; one that cannot be read is refused by the method, after the caller is known."""
    kind: type[Message] = deserialize.__self__  # type: ignore[attr-defined]  # generated code passes Message.FromString

    def read(raw: bytes) -> Message | MessageUnreadable:
        try:
            return messages.parse(kind, raw)
        except MessageUnreadable as error:
            return error

    return read


def _unreadable(error: MessageUnreadable) -> RequestInvalid:
    if error.field:
        return RequestInvalid("a text holds a NUL character", **{error.field: "holds a NUL character"})
    return RequestInvalid("the request is not a message of its type")


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key, "")
    return value if isinstance(value, str) else ""


def _subject(request: Any) -> event_contexts.Subject:
    """What all of the call is about, for its log lines."""
    return event_contexts.only(event_contexts.subjects_of(request)) if isinstance(request, Message) else _NOTHING


_NOTHING = event_contexts.Subject()


def _payment_ids(request: Any) -> list[str]:
    """The payments of a call about several, as many as a line names."""
    if not isinstance(request, Message):
        return []
    payment_ids = dict.fromkeys(each.payment_id for each in event_contexts.subjects_of(request) if each.payment_id)
    return list(islice(payment_ids, context.LINKS_MAX))


def _links(text: str) -> tuple[str, ...]:
    return tuple(filter(is_request_id, text.split(",")[: context.LINKS_MAX])) if text else ()


def _trailers(error: DomainError) -> tuple[tuple[str, str | bytes], ...]:
    trailers: list[tuple[str, str | bytes]] = [(ERROR_CODE, error.code), (ERROR_KIND, error.kind)]
    if error.fields:
        trailers.append((ERROR_FIELDS, msgspec.json.encode(error.fields)))
    if (seconds := getattr(error, "retry_after_seconds", None)) is not None:
        trailers.append((RETRY_AFTER, str(seconds)))
    return tuple(trailers)
