"""Where a stack lives: its folder and its ports."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from common.services import SERVICES

ROOT = Path(__file__).resolve().parents[3]

DEFAULT_PORT_BASE = 18000
LOCAL_HOST = "127.0.0.1"

# Offset of every port from PORT_BASE. 20 to 59 belong to the services, by protos/services.toml.
PORT_OFFSETS = {
    "edge": 0,
    "edge-metrics": 1,
    "postgresql": 2,
    "rabbitmq": 3,
    "rabbitmq-distribution": 4,
    "epmd": 5,
    "rabbitmq-management": 6,
    "redis": 7,
    "smtp": 8,
    "mail": 9,
    "sandbox": 10,
    "rabbitmq-prometheus": 11,
    # With TLS=on.
    "edge-tls": 12,
    # With POOLER=on and INTERNAL_TLS=on.
    "pgbouncer": 14,
    "rabbitmq-tls": 15,
    "redis-tls": 16,
    # With `make monitoring-check`.
    "prometheus": 17,
    "alertmanager": 18,
}


# The words that the services' own settings know.
_WORDS = {
    **dict.fromkeys(("1", "on", "true", "yes", "t", "y"), True),
    **dict.fromkeys(("0", "off", "false", "no", "f", "n"), False),
}


class SwitchUnreadable(ValueError):
    """A switch is neither on nor off."""


def is_on(environ: Mapping[str, str], name: str, default: bool) -> bool:
    """Whether the switch *name* is on; *default* when it is absent or empty. Raises SwitchUnreadable."""
    word = environ.get(name, "").lower()
    if word and word not in _WORDS:
        raise SwitchUnreadable(f"{name} is on or off, not {word!r}")
    return _WORDS.get(word, default)


class Layout(Struct, frozen=True):
    """One stack: everything it writes is below `run_dir`, everything it opens is at `port_base` plus an offset."""

    run_dir: Path
    port_base: int
    root: Path = ROOT
    detours: Mapping[str, int] = {}
    """Other ports at which the services, and they alone, reach an engine or the sandbox: those of a fault proxy."""
    tls: bool = False
    """Whether the edge speaks TLS, and HTTP only to send clients there."""

    @classmethod
    def from_environment(cls) -> Self:
        """The stack that RUN_DIR and PORT_BASE name; a stack that was started before keeps its own port base."""
        run_dir = Path(os.environ.get("RUN_DIR") or ROOT / ".run").expanduser().absolute()
        tls = is_on(os.environ, "TLS", default=False)
        if os.environ.get("PORT_BASE"):
            return cls(run_dir, int(os.environ["PORT_BASE"]), tls=tls)
        try:
            return cls(run_dir, int(json.loads((run_dir / "stack.json").read_text())["port_base"]), tls=tls)
        except (OSError, ValueError, KeyError):
            return cls(run_dir, DEFAULT_PORT_BASE, tls=tls)

    def port(self, name: str) -> int:
        return self.port_base + PORT_OFFSETS[name]

    def host(self, name: str) -> str:
        """Where the processes of this stack reach the port, or the service, of this name."""
        return LOCAL_HOST

    def address(self, name: str) -> str:
        return f"{self.host(name)}:{self.port(name)}"

    def for_services(self) -> "Layout":
        """The same stack as its services see it."""
        return _Detoured(**msgspec.structs.asdict(self)) if self.detours else self

    def http_port(self, service: str) -> int:
        return self.port_base + SERVICES[service].ports

    def grpc_port(self, service: str) -> int:
        return self.http_port(service) + 1

    def http_url(self, service: str) -> str:
        return f"http://{self.host(service)}:{self.http_port(service)}"

    def grpc_address(self, service: str) -> str:
        return f"{self.host(service)}:{self.grpc_port(service)}"

    @property
    def listening_host(self) -> str:
        """The address at which the processes of this stack listen."""
        return LOCAL_HOST

    @property
    def edge_url(self) -> str:
        return f"https://{self.address('edge-tls')}" if self.tls else f"http://{self.address('edge')}"

    @property
    def sandbox_url(self) -> str:
        return f"http://{self.address('sandbox')}"

    @property
    def public_edge_url(self) -> str:
        """Where browsers find the edge."""
        return self.edge_url

    @property
    def public_sandbox_url(self) -> str:
        """Where browsers find the sandbox's pages."""
        return self.sandbox_url

    @property
    def mail_url(self) -> str:
        return f"http://{self.address('mail')}"

    @property
    def logs(self) -> Path:
        return self.run_dir / "logs"

    @property
    def description(self) -> Path:
        """`stack.json`: what others need to know to talk to this stack."""
        return self.run_dir / "stack.json"

    def all_ports(self) -> dict[int, str]:
        """Every port that this stack may open, with the name of what opens it."""
        ports = {self.port(name): name for name in PORT_OFFSETS}
        for service in SERVICES:
            ports[self.http_port(service)] = f"{service} HTTP"
            ports[self.grpc_port(service)] = f"{service} gRPC"
        return ports


class _Detoured(Layout, frozen=True):
    def port(self, name: str) -> int:
        return self.detours.get(name, super().port(name))
