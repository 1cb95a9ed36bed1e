"""What a service's HTTP server needs to know: its name, who verifies tokens, how its parts are doing."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from common.http_server.key_requests import KeyGate
from common.tokens import Caller

Check = Callable[[], Awaitable[dict[str, object]]]

IN_FLIGHT_MAX = 2_000


class Authenticator(Protocol):
    async def authenticate(self, token: str) -> Caller:
        """The caller that *token* stands for. Raises Unauthenticated."""
        ...


class InFlight(msgspec.Struct):
    """How many requests are being answered now. Mutable: the server counts in it, the consumers read it."""

    count: int = 0


class ServerConfig(msgspec.Struct, frozen=True):
    """*checks* may be filled after the application is made; "redis" is a best-effort cache: failing, it leaves the
    service ready. *metrics* off leaves /metrics out.
    """

    service: str
    user_tokens: Authenticator | None = None
    checks: Mapping[str, Check] = msgspec.field(default_factory=dict)
    metrics: bool = True
    # How many requests whose bodies have been read are answered at once.
    in_flight_max: int = IN_FLIGHT_MAX
    # How many proxies of ours stand in front, each appending the address that it saw to X-Forwarded-For.
    trusted_proxy_hops: int = 1
    in_flight: InFlight = msgspec.field(default_factory=InFlight)
    # Whether the process is about to stop: the health pages say so, and the edge turns to other replicas.
    is_stopping: Callable[[], bool] = bool
    # Lets requests with API keys in; without it they carry no credentials.
    keys: KeyGate | None = None
