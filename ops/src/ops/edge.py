"""Traefik, from its wheel: the only public entry point of the stack."""

import hashlib
import http.client
import ipaddress
import json
import os
import string
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from common.services import SERVICES
from ops import edge_certificate, edge_routes
from ops.ports import Layout
from ops.private_files import private_folder, write_private
from ops.processes import Process

# The folder in the run directory with what Traefik reads: routes, middlewares.
DYNAMIC = "traefik"

# One load generator on one address stands for all customers here: limits that would be an attack from one client.
# The names are those of traefik/dynamic.yml; what the caller's environment sets wins.
LOCAL_LIMITS = {
    "RATE_AVERAGE": "10000",
    "RATE_BURST": "20000",
    "RATE_AUTH_AVERAGE": "1000",
    "RATE_AUTH_BURST": "2000",
    "RATE_WEBHOOK_AVERAGE": "20000",
    "RATE_WEBHOOK_BURST": "40000",
    "IN_FLIGHT": "10000",
    "IN_FLIGHT_AUTH": "10000",
    "IN_FLIGHT_WEBHOOK": "10000",
    "IN_FLIGHT_TOTAL": "10000",
    "IN_FLIGHT_AUTH_TOTAL": "10000",
    "IN_FLIGHT_WEBHOOK_TOTAL": "10000",
}
# Passed on from the environment of `commdesk up`: proxies in front, browsers; empty values are Traefik's defaults.
PASSED_ON = ("RATE_PERIOD", "TRUSTED_PROXY_HOPS", "CORS_ORIGINS", "EDGE_FORCE_HSTS")

# The services' own settings, by which the edge traces too.
TRACING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "TRACE_SAMPLE_RATIO")


def prepare(layout: Layout) -> Process:
    """Write the configuration and say how to run it; raises FileNotFoundError without the wheel."""
    program = Path(sysconfig.get_path("scripts")) / "traefik"
    if not program.is_file():
        raise FileNotFoundError(f"{program} is missing: run `make install`")
    static = layout.run_dir / "traefik.yml"
    write_private(static, static_configuration(layout, os.environ))
    dynamic = private_folder(layout.run_dir / DYNAMIC)
    texts = (edge_routes.configuration(), (layout.root / "traefik" / "dynamic.yml").read_text())
    for name, text in zip(("routes.yml", "dynamic.yml"), texts, strict=True):
        write_private(dynamic / name, text)
    if layout.tls:
        edge_certificate.issue(layout)
    # Traefik reads its files when it starts: with others it has another environment, so it is started again.
    read = "".join([static.read_text(), *texts])
    digest = {"EDGE_CONFIGURATION_SHA256": hashlib.sha256(read.encode()).hexdigest()}
    return Process(
        name="edge",
        command=(str(program), f"--configFile={static}"),
        environment={**environment(layout, os.environ), **digest},
    )


def static_configuration(layout: Layout, environ: Mapping[str, str]) -> str:
    """static.yml with its names filled in; with TLS, static-tls.yml in its place."""
    folder = layout.root / "traefik"
    values = static_values(layout, environ)
    tls = string.Template((folder / "static-tls.yml").read_text()).substitute(values) if layout.tls else ""
    return string.Template((folder / "static.yml").read_text()).substitute(values, EDGE_TLS_ENTRY_POINT=tls)


def static_values(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    trusted, announcing = (_networks(environ.get(name, "")) for name in ("TRUSTED_PROXIES", "PROXY_PROTOCOL_FROM"))
    return {
        "EDGE_ADDRESS": f"{layout.listening_host}:{layout.port('edge')}",
        "EDGE_TLS_ADDRESS": f"{layout.listening_host}:{layout.port('edge-tls')}",
        "EDGE_METRICS_ADDRESS": f"{layout.listening_host}:{layout.port('edge-metrics')}",
        "EDGE_DYNAMIC_DIRECTORY": str(layout.run_dir / DYNAMIC),
        "EDGE_LOG_LEVEL": environ.get("EDGE_LOG_LEVEL", "WARN"),
        "EDGE_TRUSTED_PROXIES": json.dumps(trusted),
        "EDGE_PROXY_PROTOCOL": json.dumps({"trustedIPs": announcing}) if announcing else "null",
        "EDGE_TRACING": json.dumps(_tracing(environ)),
        "EDGE_REDIRECTIONS": "{ entryPoint: { to: websecure, scheme: https } }" if layout.tls else "null",
    }


def _tracing(environ: Mapping[str, str]) -> dict[str, object] | None:
    """By the services' own two settings; raises ValueError for a share that is no number."""
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if not endpoint:
        return None
    return {
        "serviceName": "edge",
        "sampleRate": float(environ.get("TRACE_SAMPLE_RATIO") or 0.01),
        "otlp": {"http": {"endpoint": endpoint.rstrip("/") + "/v1/traces"}},
    }


def _networks(text: str) -> list[str]:
    """Comma-separated networks; raises ValueError for what is none."""
    return [str(ipaddress.ip_network(part.strip())) for part in text.split(",") if part.strip()]


def environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """What the templates ask for, and two settings of Traefik's own runtime."""
    services = {row.url_variable: layout.http_urls(name) for name, row in SERVICES.items()}
    limits = {name: environ.get(name, value) for name, value in LOCAL_LIMITS.items()}
    return {
        **services,
        **limits,
        **{name: environ.get(name, "") for name in PASSED_ON},
        "EDGE_TLS_CERTIFICATE": str(edge_certificate.files(layout).certificate) if layout.tls else "",
        "EDGE_TLS_KEY": str(edge_certificate.files(layout).key) if layout.tls else "",
        # One core is plenty for it, and two would fight the fleet for both.
        "GOMAXPROCS": environ.get("EDGE_GOMAXPROCS", "1"),
        # Collect garbage a quarter as often: its heap is small, its garbage per request is not.
        "GOGC": environ.get("EDGE_GOGC", "400"),
    }


def responds(url: str) -> bool:
    """Whether a GET of `url` comes back with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        # Also what is no HTTP: a port that nobody listens at yet can be connected to itself.
        return False
