"""The HTTP routes of each service, without running it: what the edge routes and what the API document describes."""

import inspect
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from msgspec import Struct

from common.http_server import Route, ServerConfig
from common.http_server.health import operational_routes
from common.services import SERVICES, ListedService

# The service whose health page the edge shows.
HEALTH = "payment"


class _StandIn(Struct):
    """In the place of a resource: rows bind resources, or encode them, and do not use them otherwise."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        raise TypeError("the rows of routes.py bind their resources, and call nothing")


def route_table(service: ListedService) -> list[Route[Any]]:
    """The rows of *service*'s `routes.routes(…)`; none when it has no HTTP interface of its own."""
    if find_spec(f"{service.package}.routes") is None:
        return []
    make = import_module(f"{service.package}.routes").routes
    resources = {
        name: _StandIn()
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.default is parameter.empty
    }
    return list(make(**resources))


def health_routes() -> list[Route[Any]]:
    """The health page that the edge shows, of the one service that it fetches it from; the others stay inside."""
    return [row for row in operational_routes(ServerConfig(HEALTH)) if row.path == "/health"]


def route_tables() -> dict[str, list[Route[Any]]]:
    """By the service's name, in the order of protos/services.toml."""
    return {name: route_table(service) for name, service in SERVICES.items()}
