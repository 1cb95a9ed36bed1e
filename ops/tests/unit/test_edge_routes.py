"""Which requests the edge passes on, to whom and under which limit; asked of the rules as Traefik reads them."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from common.http_server import Call, Empty, Route
from common.route_tables import route_tables
from ops import edge_routes
from ops.edge_routes import FILE, Router, routers
from ops.ports import ROOT


async def answer(call: Call) -> Empty:
    return Empty()


def row(method: str, path: str, **options: Any) -> Route[Any]:
    return Route(method, path, answer, answer=Empty, **{"public": True, **options})


def chosen(made: Sequence[Router], method: str, path: str) -> Router | None:
    """The router that takes a request: the first that matches, as they are sorted by priority."""
    for router in made:
        if router.methods and method not in router.methods:
            continue
        regexps = re.findall(r"PathRegexp\(`(.*?)`\)", router.rule)
        paths = re.findall(r"[^p]Path\(`(.*?)`\)", " " + router.rule)
        if not router.paths or path in paths or any(re.search(regexp, path) for regexp in regexps):
            return router
    return None


def example(path: str) -> str:
    return re.sub(r"{\w+(?::\w+)?}", "x-1", path)


def test_every_route_reaches_its_service_under_its_limit_also_by_the_alias() -> None:
    tables = route_tables()
    made = routers(tables)
    assert sum(len(rows) for rows in tables.values()) > 20
    for service, rows in tables.items():
        for each in rows:
            for path in (example(each.path), example(each.path).replace("/api/v1/", "/v1/api/")):
                router = chosen(made, each.method, path)
                assert router is not None, path
                assert (router.service, router.rate_limit) == (service, each.rate_limit), path


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/api/v1/payouts",
        "/api/v1/payments/x/unknown",
        "/api/v1/wallet/",
        "/api/v1/users",
        "/health/other",
        "/",
    ],
)
def test_what_no_service_serves_goes_nowhere(path: str) -> None:
    router = chosen(routers(route_tables()), "GET", path)
    assert router is not None
    assert router.name == "nowhere"
    assert router.middlewares.endswith("nowhere")  # so that a service is asked for no path of the client's


def test_health_is_shown_and_what_is_behind_it_is_not() -> None:
    made = routers(route_tables())
    router = chosen(made, "GET", "/health")
    assert router is not None
    assert (router.name, router.service) == ("health", "payment")
    inside = [f"/health/{name}" for name in ("ready", "database", "queues", "redis")]
    assert {router.name for path in inside if (router := chosen(made, "GET", path))} == {"nowhere"}


def test_bodies_are_let_through_up_to_what_the_services_read() -> None:
    text = (ROOT / "traefik" / "dynamic.yml").read_text()
    limits = {
        name: int(size)
        for name, size in re.findall(r" ([a-z-]*body):\n +buffering: { maxRequestBodyBytes: (\d+)", text)
    }
    for table in route_tables().values():
        for each in table:
            if each.body is not None:
                middleware = re.search(r"([a-z-]*body)\b", edge_routes.MIDDLEWARES[each.rate_limit])
                assert middleware is not None, each.path
                assert each.body_bytes_max <= limits[middleware[1]], each.path


def test_errors_of_the_edge_are_worded_by_another_service() -> None:
    text = edge_routes.configuration()
    pairs = re.findall(r"errors-([a-z-]+):\n.*\n.*status: (.*)\n +service: ([a-z-]+)\n", text)
    assert len(pairs) > 3
    for service, statuses, other in pairs:
        assert service != other
        assert statuses == '["413", "502", "504"]'


@pytest.mark.parametrize(
    ("path", "rate_limit"),
    [
        ("/api/v1/webhooks/cashfree", "webhook"),
        ("/api/v1/users/login", "sign_in"),
        ("/api/v1/users/signup", "sign_in"),
        ("/api/v1/users/refresh", "sign_in"),
    ],
)
def test_a_flood_and_a_guess_have_limits_of_their_own(path: str, rate_limit: str) -> None:
    router = chosen(routers(route_tables()), "POST", path)
    assert router is not None
    assert router.rate_limit == rate_limit


def test_a_limit_of_its_own_holds_for_its_method_only() -> None:
    made = routers({"identity": [row("POST", "/api/v1/users/login", rate_limit="sign_in")]})
    by_method = {method: chosen(made, method, "/api/v1/users/login") for method in ("POST", "GET")}
    assert {method: router and router.rate_limit for method, router in by_method.items()} == {
        "POST": "sign_in",
        "GET": "api",
    }


def test_the_more_special_path_of_two_services_wins() -> None:
    made = routers(
        {
            "notifier": [row("POST", "/api/v1/webhooks/{webhookId}", rate_limit="webhook")],
            "webhook-ingest": [row("POST", "/api/v1/webhooks/cashfree", rate_limit="webhook")],
        }
    )
    cashfree, other = (chosen(made, "POST", f"/api/v1/webhooks/{name}") for name in ("cashfree", "x"))
    assert cashfree is not None
    assert other is not None
    assert (cashfree.service, other.service) == ("webhook-ingest", "notifier")


def test_two_services_may_not_serve_the_same_path() -> None:
    with pytest.raises(ValueError, match="both serve"):
        routers({"wallet": [row("GET", "/api/v1/{x}/a")], "payment": [row("GET", "/api/v1/b/{y}")]})


def test_a_dot_in_a_path_is_a_dot() -> None:
    assert edge_routes.pattern("a.b/{id}") == r"a\.b/[^/]+"


def test_the_rules_that_are_checked_in_are_those_of_the_services() -> None:
    assert FILE.read_text() == edge_routes.configuration(), "run `make proto`"
