"""What a service reads when it starts: its environment, its keys, the time."""

import base64
import json
import os
import secrets
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from common.clock import FakeClock


@pytest.fixture
def clock() -> "FakeClock":
    from common.clock import FakeClock

    return FakeClock()


@pytest.fixture(scope="session")
def service_keys() -> dict[str, str]:
    """A private key (base64 of the raw 32 bytes) for every name in the contract."""
    from common.topology import CONTRACT

    names = {queue.owner for queue in CONTRACT.queues} | {
        name for callers in CONTRACT.calls.values() for name in callers
    }
    names |= {producer for event in CONTRACT.events.values() for producer in event.producers} - {"*"}
    return {name: base64.b64encode(os.urandom(32)).decode() for name in sorted(names | {"identity", "operator"})}


@pytest.fixture(scope="session")
def encryption_key() -> str:
    """What seals personal data in every service under test, and in `db`."""
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def service_env(
    monkeypatch: pytest.MonkeyPatch,
    service_name: str,
    service_keys: dict[str, str],
    database_url: str,
    redis_url: str,
    retry_schedule_ms: Sequence[int],
    encryption_key: str,
) -> dict[str, str]:
    """The environment that the service's Settings read, set and returned; a test adds what is its service's own.

    There is no broker in it: it is for a service in the test's own process (`serve`).
    """
    environment = {
        "ENVIRONMENT": "test",
        "HTTP_PORT": str(free_port()),
        "GRPC_PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "RABBITMQ_URL": "amqp://127.0.0.1:1/none",
        "REDIS_URL": redis_url,
        "SERVICE_PRIVATE_KEY": service_keys[service_name],
        "SERVICE_PUBLIC_KEYS": json.dumps({name: public_key(key) for name, key in service_keys.items()}),
        "JWT_SECRET": secrets.token_hex(32),
        "JWT_HS256_ENABLED": "true",
        "ENCRYPTION_KEYS": f"t1:{encryption_key}",
        "BLIND_INDEX_KEY": encryption_key,
        "RETRY_SCHEDULE_MS": ",".join(str(ttl_ms) for ttl_ms in retry_schedule_ms),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def settings_env(monkeypatch: pytest.MonkeyPatch, service_env: dict[str, str], broker_url: str) -> dict[str, str]:
    """The same with a broker, for the service as a process of its own."""
    environment = service_env | {"RABBITMQ_URL": broker_url}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def migration_env(owner_url: str, broker_admin_url: str) -> dict[str, str]:
    """What `<service> migrate` reads beside settings_env; a service that serves refuses to start with it."""
    return {"DATABASE_MIGRATION_URL": owner_url, "RABBITMQ_MIGRATION_URL": broker_admin_url}


def public_key(private_key: str) -> str:
    """The public half of an Ed25519 key, both as base64 of their raw bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private_key))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
