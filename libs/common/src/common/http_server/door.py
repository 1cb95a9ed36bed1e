"""What a service's HTTP door is made of: its routes, who verifies tokens, how its parts are doing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from common.tokens import Caller, TokenMissing

Endpoint = Callable[[Request], Awaitable[Response]]
Check = Callable[[], Awaitable[dict[str, object]]]

# Where, in a request's scope, the door leaves who is calling.
CALLER = "commdesk.caller"
IN_FLIGHT_MAX = 2_000


class Authenticator(Protocol):
    async def authenticate(self, token: str) -> Caller:
        """The caller that *token* stands for. Raises Unauthenticated."""
        ...


@dataclass(slots=True)
class InFlight:
    """How many requests a door has in hand now."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """What a service's HTTP door needs to know: its name, who verifies tokens, and how it is doing.

    *checks* may be filled after the application is made. "redis" is a hint: failing, it leaves the service ready.
    *metrics* off leaves /metrics out.
    """

    service: str
    user_tokens: Authenticator | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    metrics: bool = True
    in_flight_max: int = IN_FLIGHT_MAX
    in_flight: InFlight = field(default_factory=InFlight)


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. *roles*: any one of them suffices; none means that every signed-in caller may."""

    method: str
    path: str
    endpoint: Endpoint
    public: bool = False
    roles: frozenset[str] = frozenset()
    # Probes and scrapes are always let in and not logged.
    operational: bool = False


def route(method: str, path: str, endpoint: Endpoint, *, public: bool = False, roles: Sequence[str] = ()) -> Route:
    """A route for *path*, which may hold `{parameters}`. Raises ValueError for a public route that asks for roles."""
    if public and roles:
        raise ValueError(f"{method} {path}: a public route has no roles")
    return Route(method.upper(), path, endpoint, public, frozenset(role.upper() for role in roles))


def caller(request: Request) -> Caller:
    """Who sent this request. Raises TokenMissing on a public route, where nobody asked."""
    found: Caller | None = request.scope.get(CALLER)
    if found is None:
        raise TokenMissing("this needs an access token")
    return found
