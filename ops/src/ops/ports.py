"""Where a stack lives: its folder and its ports."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from common.services import SCHEMAS, SERVICES

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


# Ports of a second replica are so far from those of the first, those of a third from the second's.
REPLICA_STEP = 100
REPLICAS_MAX = 8
# With DATABASES=apart a service's own PostgreSQL is so far from its HTTP port.
DATABASE_STEP = 40
BROKER_NODES_MAX = 5

# The words that the services' own settings know.
_WORDS = {
    **dict.fromkeys(("1", "on", "true", "yes", "t", "y"), True),
    **dict.fromkeys(("0", "off", "false", "no", "f", "n"), False),
}


class SwitchUnreadable(ValueError):
    """A switch is neither on nor off, or a number is none or out of its bounds."""


def is_on(environ: Mapping[str, str], name: str, default: bool) -> bool:
    """Whether the switch *name* is on; *default* when it is absent or empty. Raises SwitchUnreadable."""
    word = environ.get(name, "").lower()
    if word and word not in _WORDS:
        raise SwitchUnreadable(f"{name} is on or off, not {word!r}")
    return _WORDS.get(word, default)


def number(environ: Mapping[str, str], name: str, default: int, most: int) -> int:
    """The number *name*, from 1 to *most*; *default* when it is absent or empty. Raises SwitchUnreadable."""
    word = environ.get(name, "")
    if not word:
        return default
    if not word.isascii() or not word.isdigit() or not 1 <= int(word) <= most:
        raise SwitchUnreadable(f"{name} is a number from 1 to {most}, not {word!r}")
    return int(word)


TOGETHER, APART = "together", "apart"


def _are_apart(environ: Mapping[str, str], default: str) -> bool:
    word = environ.get("DATABASES") or default
    if word not in (TOGETHER, APART):
        raise SwitchUnreadable(f"DATABASES is {TOGETHER} or {APART}, not {word!r}")
    return word == APART


class Replica(Struct, frozen=True):
    """One process of a service."""

    service: str
    number: int = 1

    @property
    def name(self) -> str:
        """Of its process, log and start script: the service's own for the first, `payment-2` for the second."""
        return self.service if self.number == 1 else f"{self.service}-{self.number}"


class Layout(Struct, frozen=True):
    """One stack: everything it writes is below `run_dir`, everything it opens is at `port_base` plus an offset."""

    run_dir: Path
    port_base: int
    root: Path = ROOT
    detours: Mapping[str, int] = {}
    """Other ports at which the services, and they alone, reach an engine or the sandbox: those of a fault proxy."""
    tls: bool = False
    """Whether the edge speaks TLS, and HTTP only to send clients there."""
    replicas: int = 1
    """How many processes of each service run."""
    databases_apart: bool = False
    """Whether each context has a PostgreSQL instance of its own; the one that all share otherwise is their observer."""
    broker_nodes: int = 1
    """How many nodes RabbitMQ's cluster has."""

    @classmethod
    def from_environment(cls) -> Self:
        """The stack that RUN_DIR and PORT_BASE name, with REPLICAS of each service.

        A stack that runs keeps its port base and its replicas unless the environment says otherwise. Raises
        SwitchUnreadable.
        """
        run_dir = Path(os.environ.get("RUN_DIR") or ROOT / ".run").expanduser().absolute()
        try:
            running = json.loads((run_dir / "stack.json").read_text())
        except (OSError, ValueError):
            running = {}
        return cls(
            run_dir,
            int(os.environ.get("PORT_BASE") or running.get("port_base", DEFAULT_PORT_BASE)),
            tls=is_on(os.environ, "TLS", default=False),
            replicas=number(os.environ, "REPLICAS", running.get("replicas", 1), REPLICAS_MAX),
            databases_apart=_are_apart(os.environ, running.get("databases", TOGETHER)),
            broker_nodes=number(os.environ, "BROKER_NODES", running.get("broker_nodes", 1), BROKER_NODES_MAX),
        )

    def port(self, name: str) -> int:
        return self.port_base + PORT_OFFSETS[name]

    def host(self, name: str) -> str:
        """Where the processes of this stack reach the port, or the service, of this name."""
        return LOCAL_HOST

    def address(self, name: str) -> str:
        return f"{self.host(name)}:{self.port(name)}"

    def database_port(self, schema: str) -> int:
        """Of the PostgreSQL instance that holds the schema."""
        if not self.databases_apart:
            return self.port("postgresql")
        return next(self.http_port(row.name) for row in SERVICES.values() if row.package == schema) + DATABASE_STEP

    def databases(self) -> dict[str, tuple[str, ...]]:
        """The PostgreSQL instances that hold schemas, by the name of their process, with those that each holds."""
        if not self.databases_apart:
            return {"postgresql": SCHEMAS}
        return {f"postgresql-{row.name}": (row.package,) for row in SERVICES.values() if row.database}

    def broker_ports(self, node: int) -> dict[str, int]:
        """The ports of the table as the broker's node of that number, from 1, uses them. They share one epmd."""
        moved = {"rabbitmq", "rabbitmq-distribution", "rabbitmq-management", "rabbitmq-prometheus", "rabbitmq-tls"}
        return {name: self.port(name) + (REPLICA_STEP * (node - 1) if name in moved else 0) for name in PORT_OFFSETS}

    def broker_names(self) -> dict[str, int]:
        """The broker's nodes by the name of their process."""
        return {"rabbitmq" if node == 1 else f"rabbitmq-{node}": node for node in range(1, self.broker_nodes + 1)}

    def for_services(self) -> "Layout":
        """The same stack as its services see it."""
        return _Detoured(**msgspec.structs.asdict(self)) if self.detours else self

    def replicas_of(self, service: str) -> tuple[Replica, ...]:
        """The processes of a service, in the order of their numbers."""
        return tuple(Replica(service, each + 1) for each in range(self.replicas))

    def all_replicas(self) -> dict[str, Replica]:
        """Every process of every service, by its name."""
        return {replica.name: replica for service in SERVICES for replica in self.replicas_of(service)}

    def http_port(self, service: str, number: int = 1) -> int:
        """Of the replica with that number."""
        return self.port_base + SERVICES[service].ports + REPLICA_STEP * (number - 1)

    def grpc_port(self, service: str, number: int = 1) -> int:
        return self.http_port(service, number) + 1

    def http_url(self, service: str, number: int = 1) -> str:
        return f"http://{self.host(service)}:{self.http_port(service, number)}"

    def grpc_address(self, service: str, number: int = 1) -> str:
        return f"{self.host(service)}:{self.grpc_port(service, number)}"

    def grpc_addresses(self, service: str) -> str:
        """Where all replicas of a service listen, as their callers read it."""
        return ",".join(self.grpc_address(service, each.number) for each in self.replicas_of(service))

    def http_urls(self, service: str) -> str:
        """Where all replicas of a service listen, as the edge reads it."""
        return ",".join(self.http_url(service, each.number) for each in self.replicas_of(service))

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
        for name, replica in self.all_replicas().items():
            ports[self.http_port(replica.service, replica.number)] = f"{name} HTTP"
            ports[self.grpc_port(replica.service, replica.number)] = f"{name} gRPC"
        for name, schemas in self.databases().items():
            ports[self.database_port(schemas[0])] = name
        for name, node in self.broker_names().items():
            first, own = self.broker_ports(1), self.broker_ports(node)
            ports |= {own[each]: f"{name} ({each})" for each in own if own[each] != first[each]}
        return ports


class _Detoured(Layout, frozen=True):
    def port(self, name: str) -> int:
        return self.detours.get(name, super().port(name))
