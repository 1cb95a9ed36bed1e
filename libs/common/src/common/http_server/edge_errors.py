"""The bodies that replace the edge's own error texts: it fetches these pages from a service, by status."""

from functools import partial
from typing import Any, Final

from common.errors import DomainError
from common.http_server.error_responses import BodyTooLarge, ServiceTimedOut, ServiceUnreachable, status_of
from common.http_server.routing import Call, Empty, Route

# Where the edge fetches them: traefik/routes.yml and dynamic.yml.
PREFIX: Final = "/edge/errors"
# What Traefik answers by itself once a request is routed. Services answer 413 too, with the same code.
EDGE_ERRORS: Final[tuple[DomainError, ...]] = (
    BodyTooLarge("the body is larger than this takes"),
    ServiceUnreachable("the service cannot be reached"),
    ServiceTimedOut("the request or its answer took too long"),
)


def edge_error_routes() -> list[Route[Any]]:
    """GET /edge/errors/413, 502 and 504: inside only, each is the error of that status."""
    return [
        Route(
            "GET",
            f"{PREFIX}/{status_of(error)}",
            partial(_raise, type(error), error.message),
            answer=Empty,
            public=True,
            operational=True,
            documented=False,
            operation_id=f"readEdgeError{status_of(error)}",
        )
        for error in EDGE_ERRORS
    ]


async def _raise(kind: type[DomainError], message: str, call: Call) -> Empty:
    raise kind(message)
