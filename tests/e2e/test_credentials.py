"""What the processes of a running fleet hold: nothing that owns a schema or declares the broker's topology."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from common.services import SERVICES
from ops import journey
from ops.fleet_client import FleetClient
from ops.ports import Layout


def _environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


async def test_no_log_holds_a_credential(fleet: FleetClient, layout: Layout) -> None:
    """Of the services or of the engines: passwords, keys, words, access tokens."""
    member = await journey.sign_up(fleet)
    created = await journey.create(fleet, member, pack_id="pack_500")
    assert (await fleet.edge("GET", f"/api/v1/payments/{created['paymentId']}", token=member.token)).status == 200
    assert (await fleet.edge("GET", "/api/v1/wallet", token=member.token + "x")).status == 401

    def held() -> set[str]:
        stored = json.loads((layout.run_dir / "secrets.json").read_text())
        secrets = {f"{kind} {name}": value for kind in ("database", "broker", "redis", "words") for name, value in
                   stored[kind].items()}  # fmt: skip
        secrets |= {f"key {name}": pair["private"] for name, pair in stored["keys"].items()}
        secrets["access token"] = member.token
        files = [file for file in layout.logs.rglob("*") if file.is_file()]
        assert len(files) > 10
        return {f"{file.name}: {name}" for file in files if (content := file.read_bytes())
                for name, secret in secrets.items() if secret.encode() in content}  # fmt: skip

    assert await asyncio.to_thread(held) == set()


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
