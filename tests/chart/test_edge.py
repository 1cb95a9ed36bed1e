"""The edge in a cluster is the edge of the local stack: the same routers, limits and headers, as Traefik's objects."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.route_tables import route_tables
from ops import edge_routes
from ops.chart_tables import CONDITIONAL
from ops.ports import ROOT
from tests.chart.rendering import PROFILES, Deployment, Object, objects_of, of_kind, render

EDGES = ["in-cluster", "hosted", "edge"]


def spec(objects: list[Object], kind: str, name: str) -> Any:
    [found] = [each["spec"] for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def prefix(profile: str) -> str:
    return f"{PROFILES[profile].release}-edge"


@pytest.mark.parametrize("profile", EDGES)
def test_routes_are_those_of_the_services(profile: str) -> None:
    routes = spec(objects_of(profile), "IngressRoute", prefix(profile))["routes"]
    made = edge_routes.routers(route_tables())
    assert [route["match"] for route in routes] == [f"Host(`pay.example.com`) && ({router.rule})" for router in made]
    assert [route["priority"] for route in routes] == [router.priority for router in made]
    target = "commdesk-blue" if profile == "edge" else "commdesk"
    assert [service["name"] for route in routes for service in route["services"]] == [
        f"{target}-{router.service}" for router in made
    ]


@pytest.mark.parametrize("profile", EDGES)
def test_every_route_has_the_middlewares_of_its_router_and_they_exist(profile: str) -> None:
    objects = objects_of(profile)
    existing = {each["metadata"]["name"] for each in of_kind(objects, "Middleware")}
    routes = spec(objects, "IngressRoute", prefix(profile))["routes"]
    for route, router in zip(routes, edge_routes.routers(route_tables()), strict=True):
        names = [each["name"].removeprefix(f"{prefix(profile)}-") for each in route["middlewares"]]
        least = CONDITIONAL.sub("", router.middlewares).split(", ")
        most = CONDITIONAL.sub(r"\1", router.middlewares).split(", ")
        assert names == [name for name in most if name in names]
        assert set(least) <= set(names)
        assert {f"{prefix(profile)}-{name}" for name in names} <= existing
        # Of those that some deployments have, only CORS is switched on here.
        assert set(names) - set(least) == ({"cors"} & set(most) if profile == "hosted" else set())


def test_middlewares_are_those_of_the_local_stack() -> None:
    """Read as Traefik reads dynamic.yml, with every variable at its default."""
    text = (ROOT / "traefik/dynamic.yml").read_text()
    text = re.sub(r"^ *{{-? if (?:env|\$cors) .*?^ *{{-? end }}\n", "", text, flags=re.S | re.M)
    text = re.sub(r'{{ env "\w+" \| default "(.*?)" }}', r"\1", text)
    text = text.replace("{{ sub (max $hops 1) 1 }}", "0").replace("{{ $hsts }}", "false")
    local = yaml.safe_load(re.sub(r"{{.*?}}", "", text))["http"]["middlewares"]
    objects = objects_of("in-cluster")
    assert len(local) > 10
    assert "cors" not in local
    for name, value in local.items():
        assert spec(objects, "Middleware", f"commdesk-edge-{name}") == value, name


def test_limits_are_the_deployments_to_change() -> None:
    settings = {"RATE_AVERAGE": "7", "CORS_ORIGINS": "https://a.example, https://b.example"}
    objects = render(Deployment(values={"edge": {"settings": settings, "trustedProxyHops": 3}}))
    rate = spec(objects, "Middleware", "commdesk-edge-rate")["rateLimit"]
    assert (rate["average"], rate["sourceCriterion"]["ipStrategy"]["depth"]) == (7, 2)
    origins = spec(objects, "Middleware", "commdesk-edge-cors")["headers"]["accessControlAllowOriginList"]
    assert origins == ["https://a.example", "https://b.example"]


@pytest.mark.parametrize("profile", EDGES)
def test_errors_are_worded_by_a_service_of_the_same_release(profile: str) -> None:
    objects = objects_of(profile)
    release = prefix(profile).removesuffix("-edge")
    target = "commdesk-blue" if profile == "edge" else release
    pages = edge_routes.error_pages(edge_routes.routers(route_tables()))
    for name, page in pages.items():
        errors = spec(objects, "Middleware", f"{release}-edge-errors-{name}")["errors"]
        assert errors["service"]["name"] == f"{target}-{page.service}"
        assert json.dumps(errors["status"])[1:-1] == ", ".join(edge_routes.STATUSES)


def test_tls_is_of_today_and_plain_http_is_sent_there() -> None:
    objects = objects_of("in-cluster")
    assert spec(objects, "TLSOption", "commdesk-edge") == {"minVersion": "VersionTLS12", "sniStrict": True}
    route = spec(objects, "IngressRoute", "commdesk-edge")
    assert route["entryPoints"] == ["websecure"]
    assert route["tls"] == {"secretName": "commdesk-edge-tls", "options": {"name": "commdesk-edge"}}
    assert spec(objects, "Certificate", "commdesk-edge")["secretName"] == "commdesk-edge-tls"
    plain = spec(objects, "IngressRoute", "commdesk-edge-plain")
    assert plain["entryPoints"] == ["web"]
    [only] = plain["routes"]
    assert [each["name"] for each in only["middlewares"]] == ["commdesk-edge-to-https"]
    assert only["services"] == [{"kind": "TraefikService", "name": "noop@internal"}]


def test_a_release_of_the_edge_names_the_services_of_another() -> None:
    """Blue-green: the switch is one value."""
    by_colour = {}
    for colour in ("blue", "green"):
        values = {"parts": {"shared": False, "services": False}, "edge": {"release": f"commdesk-{colour}"}}
        text = json.dumps(render(Deployment(values=values, release="commdesk-edge")))
        by_colour[colour] = text.replace(f"commdesk-{colour}", "commdesk-colour")
        assert f"commdesk-{colour}-payment" in text
    assert by_colour["blue"] == by_colour["green"]
    assert not of_kind(objects_of("edge"), "Deployment", "Job", "NetworkPolicy", "ServiceAccount")


def test_connections_to_services_are_those_of_the_local_stack() -> None:
    transport = spec(objects_of("in-cluster"), "ServersTransport", "commdesk-edge")
    assert transport["forwardingTimeouts"]["responseHeaderTimeout"] == "30s"
    text = Path(ROOT / "traefik/static.yml").read_text()
    assert f"maxIdleConnsPerHost: {transport['maxIdleConnsPerHost']}\n" in text
