"""The list of services, protos/services.toml, as values. It is packaged with the contract, for services to read."""

import tomllib
from importlib import resources

from msgspec import Struct, convert

# What the name of a schema's owner ends with; it begins with the schema's.
OWNER = "_owner"


class ListedService(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the list."""

    name: str
    """As in paths, queues and broker users: words with hyphens."""
    ports: int
    """Offset of the HTTP port from a local stack's base; gRPC is the next."""
    database: bool
    """Whether it has a schema, and so two database roles and a migration."""
    nice: int
    """Its nice value in a local stack."""
    owns: str
    """One line for the README."""
    redis: tuple[str, ...] = ()
    """Patterns of the keys that it uses in Redis."""

    @property
    def package(self) -> str:
        """The Python package, which the schema and the database role are named after."""
        return self.name.replace("-", "_")

    @property
    def redis_keys(self) -> tuple[str, ...]:
        """All patterns of keys that its Redis user may touch: its own, the quotas of API keys with it, and the one that
        readiness writes.
        """
        return (*self.redis, f"ratelimit:{self.name}:*", f"ready:{self.name}")

    @property
    def address_variable(self) -> str:
        """The environment variable with the host:port of its gRPC endpoint."""
        return f"{self.package.upper()}_ADDRESS"

    @property
    def url_variable(self) -> str:
        """The environment variable with the base URL of its HTTP endpoints, as the edge reads it."""
        return f"{self.package.upper()}_URL"


def load(text: str) -> dict[str, ListedService]:
    """Read the list. Raises ValueError when two services would share a port."""
    rows = {name: convert({"name": name, **row}, ListedService) for name, row in tomllib.loads(text).items()}
    ports = [row.ports + step for row in rows.values() for step in (0, 1)]
    if len(set(ports)) != len(ports):
        raise ValueError("services.toml gives a port twice")
    return rows


SERVICES = load(resources.files("commdesk").joinpath("services.toml").read_text())
SCHEMAS = tuple(row.package for row in SERVICES.values() if row.database)
