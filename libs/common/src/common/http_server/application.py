"""What stands between a request and its endpoint: one thin ASGI layer that does everything once.

Request id and context, routing, authentication and permissions, error rendering, metrics, one log line. Routing is a
dictionary for plain paths and Starlette's compiled patterns for those with parameters.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from common import context, ids, logs, telemetry
from common.client_addresses import client_address
from common.context import Context, is_request_id
from common.errors import DomainError, Overloaded
from common.http_server.configuration import ServerConfig
from common.http_server.edge_errors import edge_error_routes
from common.http_server.error_responses import (
    MethodNotAllowed,
    RoleMissing,
    RouteNotFound,
    Stopping,
    error_response,
    internal_error_response,
)
from common.http_server.headers import SingleHeaders, forwarded_for
from common.http_server.health import operational_routes
from common.http_server.key_requests import KEY_REQUEST, carried_key
from common.http_server.routing import CALLER, Call, Route
from common.tokens import TokenMissing

USER_AGENT_LENGTH_MAX = 256
# The client went away before the answer (nginx's number for it).
_CLIENT_CLOSED = 499
_TOO_MANY = "too many requests at once"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_requests = telemetry.counter("http_requests_total", "Requests answered", ["method", "route", "status"])
_refused = telemetry.counter("http_requests_refused_total", "Requests answered 503 because too many were in flight")
_seconds = telemetry.histogram("http_request_duration_seconds", "Time to answer", ["method", "route"])


def app(routes: Sequence[Route[Any]], config: ServerConfig) -> ASGIApp:
    """The ASGI application of a service: *routes*, the health pages, /metrics and the edge's error pages."""
    return _Application([*routes, *operational_routes(config), *edge_error_routes()], config)


class _Routes:
    """Method and path to route. A plain path wins over a pattern; patterns are tried in their order."""

    def __init__(self, routes: Sequence[Route[Any]]) -> None:
        self._plain: dict[str, dict[str, Route[Any]]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Callable[[str], Any]], dict[str, Route[Any]]]] = {}
        self._operational = {entry.path for entry in routes if entry.operational}
        for entry in routes:
            pattern, _, convertors = compile_path(entry.path)
            if convertors:
                readers: dict[str, Callable[[str], Any]] = {
                    name: convertor.convert for name, convertor in convertors.items()
                }
                methods = self._patterns.setdefault(entry.path, (pattern, readers, {}))[2]
            else:
                methods = self._plain.setdefault(entry.path, {})
            if entry.method in methods:
                raise ValueError(f"{entry.method} {entry.path} is routed twice")
            methods[entry.method] = entry

    def is_operational(self, path: str) -> bool:
        """Whether *path* is a probe's or a scraper's, who are always let in."""
        return path in self._operational

    def find(self, method: str, path: str) -> tuple[Route[Any], dict[str, Any]]:
        """Raises RouteNotFound or MethodNotAllowed."""
        if method == "HEAD":
            method = "GET"
        if (methods := self._plain.get(path)) is not None:
            if method not in methods:
                raise _method_not_allowed(methods)
            return methods[method], {}
        others: dict[str, Route[Any]] = {}
        for pattern, readers, methods in self._patterns.values():
            if (match := pattern.match(path)) is not None and "\0" not in path:
                if method in methods:
                    return methods[method], {name: readers[name](text) for name, text in match.groupdict().items()}
                others |= methods
        raise _method_not_allowed(others) if others else RouteNotFound("there is nothing at this path")


def _method_not_allowed(methods: Mapping[str, Route[Any]]) -> MethodNotAllowed:
    error = MethodNotAllowed("the path does not take this method")
    error.allow = ", ".join(sorted(methods))
    return error


class _Application:
    def __init__(self, routes: Sequence[Route[Any]], config: ServerConfig) -> None:
        self._routes = _Routes(routes)
        self._config = config
        self._in_flight = config.in_flight
        self._single_headers = SingleHeaders(name for route in routes for name in route.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, started_ns = time.perf_counter(), time.time_ns()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")
        if not is_request_id(request_id):
            request_id = str(ids.new())
        if self._in_flight.count >= self._config.in_flight_max and not self._routes.is_operational(scope["path"]):
            await self._refuse(scope, receive, send, request_id)
            return
        correlation_id = headers.get(b"x-correlation-id", b"").decode("latin-1")
        parent = headers.get(b"traceparent", b"").decode("latin-1")
        now = Context(
            request_id=request_id,
            correlation_id=correlation_id if is_request_id(correlation_id) else request_id,
            traceparent=telemetry.traceparent_for(parent),
            ip=self._client_address(scope, headers),
            user_agent=headers.get(b"user-agent", b"").decode("latin-1")[:USER_AGENT_LENGTH_MAX],
        )
        with context.bind(now):
            status, template, operational = _CLIENT_CLOSED, "unmatched", False
            code = ""
            try:
                try:
                    route, scope["path_params"] = self._routes.find(scope["method"], scope["path"])
                    template, operational = route.path, route.operational
                    self._single_headers.check(scope["headers"], headers)
                    if not operational and not route.public:
                        await self._admit(route, scope, headers)
                    call = await route.read(scope, receive, headers)
                    if KEY_REQUEST in scope:
                        scope[KEY_REQUEST].body = call.body
                    response = await self._respond(route, call)
                except DomainError as error:
                    code = error.code
                    response = error_response(error, request_id)
                except ClientDisconnect:
                    return
                except asyncio.CancelledError:  # the server stops, and the grace period is over
                    code = Stopping.code
                    response = error_response(Stopping("the service is stopping"), request_id)
                except Exception:  # noqa: BLE001 - a bug in an endpoint is answered, logged, and stays this request's
                    code = "internal_error"
                    logger.exception("the endpoint failed")
                    response = internal_error_response(request_id)
                status = response.status_code
                response.raw_headers.append((b"x-request-id", request_id.encode()))
                if KEY_REQUEST in scope and self._config.keys is not None:
                    self._config.keys.answered(
                        scope[KEY_REQUEST], response, scope["method"], template, request_id, code
                    )
                await response(scope, receive, send)
            finally:
                method = scope["method"] if template != "unmatched" or scope["method"] in _METHODS else "other"
                seconds = time.perf_counter() - started
                _requests.of(method, template, str(status)).inc()
                _seconds.of(method, template).observe(seconds)
                if not operational or status >= 500:
                    _log(method, template, status, seconds, code)
                    telemetry.record_span(
                        f"{method} {template}",
                        now.traceparent,
                        started_ns,
                        started_ns + int(seconds * 1e9),
                        parent=parent if parent[3:35] == now.traceparent[3:35] else None,
                        attributes={"http.request.method": method, "http.response.status_code": status},
                        failed=status >= 500,
                    )

    async def _respond(self, route: Route[Any], call: Call[Any, Any]) -> Response:
        """The answer of *route*. Only now that all of the request is here does it take one of the places, and it gives
        the place back before a slow client reads the answer. Raises Overloaded when there is none.
        """
        if self._in_flight.count >= self._config.in_flight_max and not route.operational:
            _refused.of().inc()
            raise Overloaded(_TOO_MANY)
        self._in_flight.count += 1
        try:
            return await route.respond(call)
        finally:
            self._in_flight.count -= 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Before anything is read or made: during overload, a refusal must cost next to nothing."""
        response = error_response(Overloaded(_TOO_MANY), request_id)
        response.raw_headers.append((b"x-request-id", request_id.encode()))
        await response(scope, receive, send)
        _refused.of().inc()
        if logs.enabled(logs.INFO):
            fields = {"status": response.status_code, "code": Overloaded.code, "requestId": request_id}
            logs.line(logs.INFO, "common.http_server", "too many requests in flight", fields)

    def _client_address(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        client = scope.get("client")
        forwarded = forwarded_for(scope["headers"], headers)
        return client_address(client[0] if client else "", forwarded, self._config.trusted_proxy_hops)

    async def _admit(self, route: Route[Any], scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Say who is calling, in the scope and in the context. Raises Unauthenticated or RoleMissing."""
        keys = self._config.keys
        if keys is not None and (carried := carried_key(headers)) is not None:
            who = (await keys.admit(scope, carried, headers, context.current().ip)).caller
        else:
            scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
            token = token.strip()
            if scheme.lower() != "bearer" or not token or self._config.user_tokens is None:
                raise TokenMissing("this needs an access token")
            who = await self._config.user_tokens.authenticate(token)
        scope[CALLER] = who
        now = context.current()
        context.replace_current(
            Context(
                now.request_id,
                now.correlation_id,
                now.traceparent,
                who.user_id,
                who.merchant_id,
                now.ip,
                now.user_agent,
            )
        )
        if route.permission not in who.permissions:
            raise RoleMissing(f"this needs the permission {route.permission}")


def _log(method: str, template: str, status: int, seconds: float, code: str) -> None:
    level = logs.ERROR if status >= 500 and status != 503 else logs.INFO
    if logs.enabled(level):
        fields = {"method": method, "route": template, "status": status, "durationMs": round(seconds * 1000, 2)}
        if code:
            fields["code"] = code
        logs.line(level, "common.http_server", f"{method} {template} {status}", fields)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Answer the server's lifespan events with success: the runtime starts and stops the service."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
