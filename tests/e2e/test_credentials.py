"""What the processes of a running fleet hold: nothing that owns a schema or declares the broker's topology."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from common.services import SERVICES
from ops.fleet_client import FleetClient
from ops.ports import Layout


def _environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_process_that_serves_holds_its_own_credentials_alone(
    fleet: FleetClient, layout: Layout, service: str
) -> None:
    secrets = await asyncio.to_thread(lambda: json.loads((layout.run_dir / "secrets.json").read_text()))
    environment = await asyncio.to_thread(_environment, fleet.description["pids"][service])
    held = "\n".join(environment.values())
    own = {SERVICES[service].package, service}
    foreign = {
        f"{kind} {user}": password
        for kind in ("database", "broker")
        for user, password in secrets[kind].items()
        if user not in own
    }
    foreign |= {name: secrets["words"][name] for name in ("postgresql_superuser", "rabbitmq_administrator")}
    assert [name for name, secret in foreign.items() if secret in held] == []
    assert not {"DATABASE_MIGRATION_URL", "RABBITMQ_MIGRATION_URL"} & environment.keys()
    assert urlsplit(environment["RABBITMQ_URL"]).username == service
