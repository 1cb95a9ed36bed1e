"""Routes as data: method, path, endpoint, what goes in and what comes out. The OpenAPI document is made of these rows.

An endpoint is `async def name(resources…, call: Call[Body, Query]) -> View`: it takes a typed call, returns the view
or raises a DomainError, and sees neither request nor response. A service's `routes(…) -> list[Route]` binds its
resources with `functools.partial`. Decoders are made when the row is made, never during a request.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import NoneType, UnionType
from typing import Any, Final, Generic, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope
from typing_extensions import TypeVar

from common import context, idempotency
from common.context import Context
from common.errors import DomainError, RequestInvalid
from common.http_server import requests
from common.http_server.requests import BODY_BYTES_MAX, Headers
from common.http_server.responses import EncodedResponse, encode, enveloped
from common.permissions import TABLE
from common.tokens import Caller, TokenMissing

# Where, in a request's scope, the server leaves who is calling.
CALLER: Final = "commdesk.caller"

B = TypeVar("B", default=None)
Q = TypeVar("Q", default=None)
A = TypeVar("A", default=Any)

# Reads a request whose caller is admitted, to its last byte; and answers one that was read.
Read = Callable[[Scope, Receive, Headers], Awaitable["Call[Any, Any]"]]
Respond = Callable[["Call[Any, Any]"], Awaitable[Response]]
# How the edge treats requests: a password may be guessed less often than a payment read; a page for browsers brings its
# own Content-Security-Policy; the body of a request for many things at once is longer.
RateLimit = Literal["api", "bulk", "sign_in", "webhook", "page"]
# Where an unknown query parameter is refused. A gateway's webhook is accepted at any URL that an operator gave it, and
# browsers add parameters to pages.
_STRICT: Final = frozenset({"api", "bulk", "sign_in"})


class Call(msgspec.Struct, Generic[B, Q], frozen=True):
    """One request, decoded. *body* and *query* are of the types that the row names, None where it names none."""

    body: B
    query: Q
    # The values of the path's {parameters}, percent-decoded.
    path: Mapping[str, str]
    # Names are in lower case; of a repeated header, the last.
    headers: Headers
    scope: Scope

    @property
    def caller(self) -> Caller:
        """Who sent this request. Raises TokenMissing on a public route, where nobody is authenticated."""
        authenticated: Caller | None = self.scope.get(CALLER)
        if authenticated is None:
            raise TokenMissing("this needs an access token")
        return authenticated

    @property
    def context(self) -> Context:
        """Request id, correlation, trace, address and user agent."""
        return context.current()

    def header(self, name: str, default: str = "") -> str:
        """The value of a header, *default* when it is absent."""
        value = self.headers.get(name.lower().encode())
        return default if value is None else value.decode("latin-1")

    @property
    def is_alias(self) -> bool:
        """Whether the client asked at /v1/api, the address that older clients know: Traefik leaves the path that it
        replaced in this header. A client who sends it itself is answered in the older shape, no more.
        """
        return self.headers.get(b"x-replaced-path", b"").startswith(b"/v1/api/")

    @property
    def idempotency_key(self) -> str:
        """The header Idempotency-Key or X-Idempotency-Key, its other spelling; "" when both are absent.

        Raises IdempotencyKeyInvalid, RequestInvalid when both are given.
        """
        value, other = self.headers.get(b"idempotency-key"), self.headers.get(b"x-idempotency-key")
        if value is not None and other is not None:
            raise RequestInvalid("a header is repeated", **{"X-Idempotency-Key": "is Idempotency-Key given again"})
        value = other if value is None else value
        return "" if value is None else idempotency.validated(value.decode("latin-1"))


class Encoded(msgspec.Struct, frozen=True):
    """A whole answer as bytes, for what a view cannot say: a stored one that is repeated, a header, another format."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    media_type: str = "application/json"


class Empty(msgspec.Struct, frozen=True):
    """The answer of an operation that has nothing to tell but its success."""


async def _unread(scope: Scope, receive: Receive, headers: Headers) -> Call[Any, Any]:
    """Stands in Route.read until the row has been checked, and is never called: so that the field has no None."""
    raise NotImplementedError


async def _unanswered(call: Call[Any, Any]) -> Response:
    """The same in Route.respond."""
    raise NotImplementedError


class _Row(msgspec.Struct, Generic[A], frozen=True):
    method: str
    path: str
    endpoint: Callable[..., Awaitable[A | Encoded]]


class Route(_Row[A], Generic[A], frozen=True, kw_only=True):
    """One method of one path, and all that is promised about it. A row that is wrong is a TypeError or ValueError.

    *answer* is the type of the view, *body* and *query* the types of what is sent; `body=bytes` hands over raw bytes.
    *permission*: the row of protos/permissions.toml that a caller needs; a route without one is *public*. *errors* are
    the DomainErrors that the endpoint raises beyond those of HTTP, tokens, the permission and, with *idempotent*,
    idempotency keys.
    """

    answer: type[A]
    body: Any = None
    query: Any = None
    status: int = 200
    public: bool = False
    permission: str = ""
    errors: Sequence[type[DomainError]] = ()
    # The headers that the endpoint reads beyond those of every endpoint; optional, and given once.
    headers: Sequence[str] = ()
    # Takes the header Idempotency-Key: the same request under the same key gets the first answer again.
    idempotent: bool = False
    body_bytes_max: int = BODY_BYTES_MAX
    # Off for documents whose shape is a standard's: no {"success": …, "data": …} around the view.
    envelope: bool = True
    media_type: str = "application/json"
    rate_limit: RateLimit = "api"
    # The OpenAPI operationId; by default the endpoint's name. One endpoint under several paths needs it.
    operation_id: str = ""
    deprecated: bool = False
    # Off for the parts of a page, which nobody calls by themselves.
    documented: bool = True
    # Health pages and metrics: always let in, not logged, not routed by the edge.
    operational: bool = False
    # Made of the rest.
    read: Read = _unread
    respond: Respond = _unanswered

    def __post_init__(self) -> None:
        if self.public == bool(self.permission):
            raise ValueError(f"{self.method} {self.path}: a route is public, or names a permission")
        if self.permission and self.permission not in TABLE.permissions:
            raise ValueError(f"{self.method} {self.path}: permissions.toml has no {self.permission}")
        msgspec.structs.force_setattr(self, "method", self.method.upper())
        if self.read is _unread:
            _check_signature(self)
            msgspec.structs.force_setattr(self, "read", _read(self))
            msgspec.structs.force_setattr(self, "respond", _respond(self))

    @property
    def function(self) -> Callable[..., Any]:
        """The endpoint without the resources that are bound to it."""
        return unbound(self.endpoint)


def unbound(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside any number of partials."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    return endpoint


def _read(route: Route[Any]) -> Read:
    read_query: Callable[[bytes], Any] | None = None
    if route.query is not None:
        read_query = requests.query_reader(route.query)
    elif route.rate_limit in _STRICT and not route.operational:
        read_query = requests.no_query
    read_body: Callable[[Scope, Receive, Headers], Awaitable[Any]] | None = None
    if route.body is bytes:
        read_body = requests.bytes_reader(route.body_bytes_max)
    elif route.body is not None:
        read_body = requests.json_reader(route.body, route.body_bytes_max)

    async def read(scope: Scope, receive: Receive, headers: Headers) -> Call[Any, Any]:
        query = read_query(scope["query_string"]) if read_query is not None else None
        body = await read_body(scope, receive, headers) if read_body is not None else None
        return Call(body, query, scope["path_params"], headers, scope)

    return read


def _respond(route: Route[Any]) -> Respond:
    endpoint, status = route.endpoint, route.status
    encode_view = enveloped if route.envelope else encode

    async def respond(call: Call[Any, Any]) -> Response:
        result = await endpoint(call)
        if type(result) is Encoded:
            return EncodedResponse(
                result.body, result.status, result.headers, (b"content-type", result.media_type.encode())
            )
        return EncodedResponse(encode_view(result), status)

    return respond


def _check_signature(route: Route[Any]) -> None:
    """An endpoint takes and returns what its row says: mypy cannot see through `partial`, so it is compared here."""
    function = route.function
    where = f"{route.method} {route.path}: {getattr(function, '__qualname__', function)}"
    hints = get_type_hints(function)
    returned = hints.pop("return", None)
    views = set(get_args(returned)) if get_origin(returned) in (Union, UnionType) else {returned}
    if views - {Encoded, route.answer}:
        raise TypeError(f"{where} returns {returned}, its row promises {route.answer}")
    calls = [hint for hint in hints.values() if hint is Call or get_origin(hint) is Call]
    if len(calls) != 1:
        raise TypeError(f"{where} needs one parameter of type Call")
    body, query = (*get_args(calls[0]), None, None)[:2]
    for name, taken, promised in (("body", body, route.body), ("query", query, route.query)):
        if (None if taken is NoneType else taken) != promised:
            raise TypeError(f"{where} takes a {name} of {taken}, its row promises {promised}")
