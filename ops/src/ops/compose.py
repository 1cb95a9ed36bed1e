"""The fleet of compose.yaml: the files that its containers read, and what is made in the engines before they serve.

    python -m ops.compose prepare      credentials and configurations: a folder for each container
    python -m ops.compose bootstrap    database, roles and broker users

Both run in containers and may be repeated. What is not secret stands in compose.yaml itself (ops.compose_file).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from common.services import SERVICES
from ops import edge, fleet, postgresql, rabbitmq, redis_server
from ops.credentials import Credentials, complete, load_or_generate
from ops.ports import PORT_OFFSETS, Layout
from ops.private_files import private_folder, write_private

# In the container that prepares: what the operator's command line reads, the folders of all containers, and the
# checkout's folder traefik/.
RUN_DIR, PREPARED, ROOT = Path("/run/commdesk"), Path("/prepared"), Path("/srv")
# Where a container finds its own folder.
SECRETS = "/run/secrets"
# The ports in the containers; those of the services are the image's defaults.
HTTP_PORT, GRPC_PORT = 8000, 9000
PORTS = {
    "edge": 8080,
    "edge-metrics": 8082,
    "postgresql": 5432,
    "rabbitmq": 5672,
    "rabbitmq-management": 15672,
    "rabbitmq-prometheus": 15692,
    "redis": 6379,
    "smtp": 8025,
    "mail": HTTP_PORT,
    "sandbox": HTTP_PORT,
}
# The container that a port belongs to, where it is not called like the port.
HOSTS = {
    "edge-metrics": "edge",
    "postgresql": "postgres",
    "rabbitmq-management": "rabbitmq",
    "rabbitmq-prometheus": "rabbitmq",
    "smtp": "mail",
}
# compose.yaml publishes these two to browsers of this machine.
PUBLIC_EDGE_URL = "http://127.0.0.1:${EDGE_PORT:-18000}"
PUBLIC_SANDBOX_URL = "http://127.0.0.1:${SANDBOX_PORT:-18010}"
# What readers in other containers, under other accounts, need; each folder is mounted in its own container alone.
FILE_MODE = 0o444
FOLDER_MODE = 0o755
# RabbitMQ takes half a minute on a busy machine.
BOOTSTRAP_SECONDS = 180
PAUSE_SECONDS = 3


class ContainerLayout(Layout, frozen=True):
    """Every process is a host of its own, at the usual port."""

    def port(self, name: str) -> int:
        return PORTS.get(name, 0)

    def host(self, name: str) -> str:
        return HOSTS.get(name, name)

    def http_port(self, service: str, number: int = 1) -> int:
        return HTTP_PORT

    def grpc_port(self, service: str, number: int = 1) -> int:
        return GRPC_PORT

    @property
    def listening_host(self) -> str:
        return "0.0.0.0"  # noqa: S104 - in a container

    @property
    def public_edge_url(self) -> str:
        return PUBLIC_EDGE_URL

    @property
    def public_sandbox_url(self) -> str:
        return PUBLIC_SANDBOX_URL

    def all_ports(self) -> dict[int, str]:
        return {}


LAYOUT = ContainerLayout(RUN_DIR, 0, ROOT)


def environment(name: str, credentials: Credentials) -> dict[str, str]:
    """The whole environment of a service, or of the sandbox."""
    if name == "sandbox":
        return dict(fleet.sandbox(LAYOUT, credentials, {}).environment)
    return fleet.service_environment(LAYOUT, credentials, name, {})


def owner_environment(name: str, credentials: Credentials) -> dict[str, str]:
    """What `<service> migrate` has besides."""
    serving = environment(name, credentials)
    migrating = fleet.migration_environment(LAYOUT, credentials, name, {})
    return {variable: value for variable, value in migrating.items() if variable not in serving}


def split(name: str) -> tuple[dict[str, str], list[str]]:
    """A service's environment in two: what is the same in every fleet, and the names of what is generated."""
    one, other = (environment(name, complete({})) for _ in range(2))
    plain = {variable: value for variable, value in one.items() if other[variable] == value}
    return plain, sorted(set(one) - set(plain))


def prepare(layout: Layout, prepared: Path) -> None:
    """Write everything that containers read, each into its own folder below *prepared*."""
    credentials = load_or_generate(layout.run_dir / "secrets.json")
    for name in (*SERVICES, "sandbox"):
        generated = split(name)[1]
        values = environment(name, credentials)
        _write(prepared / name, {variable: values[variable] for variable in generated})
        if name in SERVICES and SERVICES[name].database:
            _write(prepared / f"{name}-owner", owner_environment(name, credentials))
    for engine, files in engines(layout, credentials).items():
        _write(prepared / engine, files)
    description = {**fleet.description(layout, credentials, {}), "pids": {}, "engines_only": False}
    write_private(layout.description, json.dumps(description, indent=2) + "\n")


def engines(layout: Layout, credentials: Credentials) -> dict[str, dict[str, str]]:
    """The files of the engines and of the edge, by container."""
    memory_bytes = 4 * postgresql.GIB
    settings = postgresql.settings(
        port=layout.port("postgresql"), socket_folder=Path("/var/run/postgresql"), memory_bytes=memory_bytes, host="*"
    )
    broker = rabbitmq.broker_config(
        {name: layout.port(name) for name in PORT_OFFSETS},
        password=credentials.words["rabbitmq_administrator"],
        memory_bytes=memory_bytes,
        host=layout.listening_host,
    )
    cache = redis_server.config(
        port=layout.port("redis"),
        home=Path("/data"),
        password=credentials.words["redis"],
        passwords=credentials.redis,
        host=layout.listening_host,
    )
    return {
        "postgres": {
            "password": credentials.words["postgresql_superuser"],
            "postgresql.conf": postgresql.render(settings),
        },
        "rabbitmq": {"rabbitmq.conf": broker, "advanced.config": rabbitmq.ADVANCED_CONFIG},
        "redis": {"redis.conf": cache},
        "edge": {
            "traefik.yml": edge.static_configuration(layout, {name: os.environ.get(name, "") for name in edge.TRACING})
        },
    }


def bootstrap(layout: Layout) -> None:
    """Make database, roles and broker users, as soon as the engines answer."""
    credentials = load_or_generate(layout.run_dir / "secrets.json")
    command = [sys.executable, *fleet.bootstrap_arguments(layout, credentials, {})]
    deadline = time.monotonic() + BOOTSTRAP_SECONDS
    while subprocess.run(command, check=False).returncode != 0:
        if time.monotonic() > deadline:
            sys.exit("the engines do not answer, or refuse; the last error is above")
        time.sleep(PAUSE_SECONDS)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    private_folder(folder, mode=FOLDER_MODE)
    for name, text in files.items():
        write_private(folder / name, text, mode=FILE_MODE)


def main() -> None:
    match sys.argv[1:]:
        case ["prepare"]:
            prepare(LAYOUT, PREPARED)
        case ["bootstrap"]:
            bootstrap(LAYOUT)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
