"""A service starts in production with what the chart and its Secrets give it; so does each migration."""

import base64
import hashlib
import importlib
import json
import re
from collections.abc import Collection
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import settings
from common.secret_strength import is_weak
from common.services import SERVICES
from ops import chart_tables, configuration_check
from tests.chart.rendering import PROFILES, WORKLOADS, Object, containers, objects_of, templates

KEYS = {name: Ed25519PrivateKey.generate() for name in SERVICES}
TOKENS, HEADS, SEALING, INDEX = (Ed25519PrivateKey.generate() for _ in range(4))
STRONG = "q7Zt0vXc2Rk9mWbY5eLs8uHdP3jNf6Ag"
# What works without: an older issuer's tokens, a mail relay that asks for no login …
OPTIONAL = frozenset({"JWT_SECRET", "SENTRY_DSN", "REDIS_PASSWORD", "SMTP_PASSWORD", "CASHFREE_WEBHOOK_SECRET"}) | {
    *("LEDGER_ANCHOR_SECRET_ACCESS_KEY", "RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRET")
}


def private(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.private_bytes_raw()).decode()


def secret(service: str, variable: str) -> str:
    """A value that production takes, as a Secret would hold it."""
    role = SERVICES[service].package
    public = {name: base64.b64encode(key.public_key().public_bytes_raw()).decode() for name, key in KEYS.items()}
    values = {
        "DATABASE_URL": f"postgresql://{role}:{STRONG}@postgresql.example.com/commdesk?sslmode=verify-full",
        "DATABASE_MIGRATION_URL": f"postgresql://{role}_owner:{STRONG}@postgresql.example.com/commdesk?sslmode=verify-full",
        "RABBITMQ_URL": f"amqps://{service}:{STRONG}@rabbitmq.example.com/commdesk",
        "RABBITMQ_MIGRATION_URL": f"amqps://migrator:{STRONG}@rabbitmq.example.com/commdesk",
        "REDIS_URL": f"rediss://{service}:{STRONG}@redis.example.com:6379/0",
        "SERVICE_PRIVATE_KEY": private(KEYS[service]),
        "SERVICE_PUBLIC_KEYS": json.dumps(public),
        "ENCRYPTION_KEYS": f"k1:{private(SEALING)}",
        "BLIND_INDEX_KEY": private(INDEX),
        "TOKEN_PRIVATE_KEY": private(TOKENS),
        "LEDGER_SIGNING_KEY": private(HEADS),
        "SENTRY_DSN": "https://a1b2c3@sentry.example.com/1",
    }
    # Each has one of its own.
    return values.get(variable, base64.b64encode(hashlib.sha256(f"{variable} {STRONG}".encode()).digest()).decode())


def environment(template: Object, service: str, folder: Path, without: Collection[str] = ()) -> dict[str, str]:
    """What the process would read: plain values, and a strong secret for each reference; files below *folder*."""
    [container] = containers(template)
    found = {}
    for entry in container["env"]:
        assert entry["name"] not in found, f"{entry['name']} is given twice"
        if "value" in entry:
            found[entry["name"]] = entry["value"].replace("/run/grpc", str(folder))
        elif entry["name"] in without:
            assert entry["valueFrom"]["secretKeyRef"]["optional"]
        else:
            found[entry["name"]] = secret(service, entry["name"])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a certificate as cert-manager's Secret mounts them."""
    folder = tmp_path_factory.mktemp("grpc")
    authority = trustme.CA()
    leaf = authority.issue_cert("wallet")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    for pem in leaf.cert_chain_pems:
        pem.write_to_path(folder / "tls.crt", append=True)
    return folder


def test_the_secrets_of_these_tests_are_strong() -> None:
    assert not is_weak(STRONG, 16)


@pytest.mark.parametrize("without", [frozenset(), OPTIONAL], ids=["with optional secrets", "without"])
@pytest.mark.parametrize("profile", [*WORKLOADS, "trial"])
def test_every_service_starts_and_has_no_owners_credentials(
    profile: str, without: frozenset[str], folder: Path
) -> None:
    pods = templates(objects_of(profile))
    release = PROFILES[profile].release
    environments = {name: environment(pods[f"{release}-{name}"], name, folder, without) for name in SERVICES}
    assert configuration_check.problems(environments) == []


@pytest.mark.parametrize(
    ("service", "variable", "login"),
    [
        ("wallet", "DATABASE_URL", "wallet_owner"),
        ("wallet", "DATABASE_URL", "ledger"),
        ("webhook-ingest", "DATABASE_URL", "neondb_owner"),
        ("ledger", "DATABASE_URL", "administrator"),
        ("payment", "RABBITMQ_URL", "wallet"),
        ("payment", "RABBITMQ_URL", "administrator"),
        ("webhook-ingest", "RABBITMQ_URL", "webhook_ingest"),
        ("payment", "RABBITMQ_MIGRATION_URL", "migrator"),
    ],
)
def test_production_refuses_the_login_of_another(service: str, variable: str, login: str, folder: Path) -> None:
    url = re.sub("//[^:]+:", f"//{login}:", secret(service, variable))
    assert f"{login}:" in url
    refused(service, variable, url, folder)


@pytest.mark.parametrize(
    ("service", "variable", "value"),
    [
        ("fraud", "AMQP_USER_ID", "off"),
        ("payment", "ENABLED_CURRENCIES", "INR,USD"),
        ("payment", "ENABLED_CURRENCIES", ","),
    ],
)
def test_production_refuses(service: str, variable: str, value: str, folder: Path) -> None:
    refused(service, variable, value, folder)


def test_production_refuses_a_key_of_two_purposes(folder: Path) -> None:
    refused("payment", "BLIND_INDEX_KEY", private(SEALING), folder)
    refused("identity", "TOKEN_PRIVATE_KEY", private(KEYS["identity"]), folder)


def refused(service: str, variable: str, value: str, folder: Path) -> None:
    """With everything else as the chart has it."""
    good = environment(templates(objects_of("in-cluster"))[f"commdesk-{service}"], service, folder)
    [problem] = configuration_check.problems({service: {**good, variable: value}})
    assert problem.variable == variable
    assert value not in problem.problem


@pytest.mark.parametrize("profile", [*WORKLOADS, "trial"])
def test_every_migration_starts(profile: str, tmp_path: Path) -> None:
    pods = {name: pod for name, pod in templates(objects_of(profile)).items() if name.endswith("-migration")}
    environments = {}
    for name, pod in pods.items():
        service = name.removesuffix("-migration").removeprefix(f"{PROFILES[profile].release}-")
        environments[service] = environment(pod, service, tmp_path)
        assert environments[service]["DATABASE_MIGRATION_URL"]
        settings_type = importlib.import_module(f"{SERVICES[service].package}.settings").Settings
        assert settings.problems(settings_type, environments[service]) == []
    assert [name for name, environ in environments.items() if "RABBITMQ_MIGRATION_URL" in environ] == [
        next(name for name, row in SERVICES.items() if row.database)
    ]


def test_callees_are_reached_by_the_name_of_all_replicas() -> None:
    pods = templates(objects_of("blue"))
    environ = environment(pods["commdesk-blue-payment"], "payment", Path("/"))
    assert environ["WALLET_ADDRESS"] == "commdesk-blue-wallet-grpc.pay.svc.cluster.local:9000"
    assert "LEDGER_ADDRESS" not in environ  # it does not call ledger


def test_edge_and_services_count_the_same_proxies() -> None:
    pods = templates(objects_of("in-cluster"))
    counted = {environment(pods[f"commdesk-{name}"], name, Path("/"))["TRUSTED_PROXY_HOPS"] for name in SERVICES}
    assert counted == {"1"}


def test_a_secret_is_told_from_a_setting() -> None:
    rows = chart_tables.services()["services"]
    assert {name for name, row in rows.items() if "TOKEN_PRIVATE_KEY" in row["secrets"]} == {"identity"}
    assert rows["payment"]["secrets"]["CASHFREE_SECRET_KEY"] is True
    assert rows["notifier"]["secrets"]["SMTP_PASSWORD"] is False
    assert "SMTP_HOST" in rows["notifier"]["settings"]
    for row in rows.values():
        assert not {"DATABASE_MIGRATION_URL", "RABBITMQ_MIGRATION_URL"} & {*row["secrets"], *row["settings"]}
        assert row["secrets"]["DATABASE_URL"] is row["sharedSecrets"]["ENCRYPTION_KEYS"] is True
