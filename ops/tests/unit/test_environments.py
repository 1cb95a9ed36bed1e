import base64
import json
import re
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import grpc_client
from common.broker_urls import urls_of
from common.services import SERVICES
from common.settings import ServiceSettings
from ops import edge, edge_routes, fleet
from ops.credentials import Credentials, load_or_generate
from ops.ports import ROOT, Layout, Replica

LAYOUT = Layout(Path("/srv/stack"), 18000)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return load_or_generate(tmp_path / "secrets.json")


def test_credentials_are_private_stable_and_grow(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = load_or_generate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_generate(path) == first
    known = json.loads(path.read_text())
    forgotten = known["broker"].pop("fraud")
    path.write_text(json.dumps(known))
    grown = load_or_generate(path)
    assert grown.broker["fraud"] != forgotten
    assert {**grown.broker, "fraud": ""} == {**first.broker, "fraud": ""}


def test_public_keys_belong_to_the_private_ones(credentials: Credentials) -> None:
    for name, public in credentials.public_keys().items():
        private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(credentials.keys[name]["private"]))
        assert base64.b64encode(private.public_key().public_bytes_raw()).decode() == public
    assert set(credentials.public_keys()) == {*SERVICES, "operator"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_gets_its_own_role_and_user_and_nobody_elses(name: str, credentials: Credentials) -> None:
    found = fleet.service_environment(LAYOUT, credentials, name, {})
    assert urlsplit(found["RABBITMQ_URL"]).username == name
    assert found["SERVICE_PRIVATE_KEY"] == credentials.keys[name]["private"]
    assert found["HTTP_PORT"] == str(LAYOUT.http_port(name))
    if SERVICES[name].database:
        assert urlsplit(found["DATABASE_URL"]).username == SERVICES[name].package
        owners = fleet.migration_environment(LAYOUT, credentials, name, {})
        assert urlsplit(owners["DATABASE_MIGRATION_URL"]).username == f"{SERVICES[name].package}_owner"
        assert urlsplit(owners["RABBITMQ_MIGRATION_URL"]).username == "migrator"
    else:
        assert "DATABASE_URL" not in found
    administrators = [credentials.words[word] for word in ("postgresql_superuser", "rabbitmq_administrator")]
    # Who serves has no credential that owns a schema or declares the topology.
    administrators += [credentials.broker["migrator"]]
    administrators += [password for role, password in credentials.database.items() if role.endswith("_owner")]
    others = [credentials.keys[other]["private"] for other in SERVICES if other != name]
    assert not any(secret in " ".join(found.values()) for secret in [*others, *administrators])


def test_who_starts_the_stack_may_change_what_is_meant_to_be_changed(credentials: Credentials) -> None:
    given = {"RETRY_SCHEDULE_MS": "100,200", "DATABASE_URL": "postgresql://elsewhere", "TEST_PROCESSING_DELAY": "0"}
    service = fleet.service_environment(LAYOUT, credentials, "wallet", given)
    assert service["RETRY_SCHEDULE_MS"] == "100,200"
    assert "elsewhere" not in service["DATABASE_URL"]
    sandbox = fleet.sandbox(LAYOUT, credentials, given).environment
    assert (sandbox["TEST_MODE"], sandbox["TEST_PROCESSING_DELAY"]) == ("true", "0")


def test_who_takes_webhooks_in_goes_before_who_works_them_off(credentials: Credentials) -> None:
    nice = {name: fleet.service(LAYOUT, credentials, Replica(name), {}).nice for name in SERVICES}
    assert nice["webhook-ingest"] == nice["fraud"] == nice["wallet"] == 0 < nice["payment"] < fleet.NICE_WORKING_OFF
    others = set(nice) - {"webhook-ingest", "fraud", "wallet", "payment"}
    assert {nice[name] for name in others} == {fleet.NICE_WORKING_OFF}
    assert fleet.service(LAYOUT, credentials, Replica("payment"), {"NICE_WORKING_OFF": "0"}).nice == 0


def test_the_edge_is_given_every_variable_that_its_configuration_asks_for() -> None:
    text = (ROOT / "traefik/dynamic.yml").read_text() + edge_routes.configuration()
    asked = set(re.findall(r'env "([A-Z_]+)"', text))
    assert asked
    assert asked <= edge.environment(LAYOUT, {}).keys()
    static = "".join((ROOT / "traefik" / name).read_text() for name in ("static.yml", "static-tls.yml"))
    named = set(re.findall(r"\$\{([A-Z_]+)\}", static))
    assert named == edge.static_values(LAYOUT, {}).keys() | {"EDGE_TLS_ENTRY_POINT"}


def test_proxies_in_front_are_networks() -> None:
    given = {"TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7", "PROXY_PROTOCOL_FROM": "2001:db8::/32"}
    values = edge.static_values(LAYOUT, given)
    assert json.loads(values["EDGE_TRUSTED_PROXIES"]) == ["10.0.0.0/8", "192.0.2.7/32"]
    assert json.loads(values["EDGE_PROXY_PROTOCOL"]) == {"trustedIPs": ["2001:db8::/32"]}
    for wrong in ("everybody", "10.0.0.1/8", "1.2.3"):
        with pytest.raises(ValueError):
            edge.static_values(LAYOUT, {"TRUSTED_PROXIES": wrong})


def test_edge_and_services_count_the_same_proxies(credentials: Credentials) -> None:
    given = {"TRUSTED_PROXY_HOPS": "2"}
    assert edge.environment(LAYOUT, given)["TRUSTED_PROXY_HOPS"] == "2"
    for name in SERVICES:
        assert fleet.service_environment(LAYOUT, credentials, name, given)["TRUSTED_PROXY_HOPS"] == "2"


def test_replicas_differ_in_their_ports_alone_and_everybody_knows_all_of_them(credentials: Credentials) -> None:
    two = Layout(Path("/srv/stack"), 18000, replicas=2)
    first, second = (fleet.service_environment(two, credentials, "payment", {}, number) for number in (1, 2))
    assert first["WALLET_ADDRESS"] == "127.0.0.1:18023,127.0.0.1:18123"
    assert grpc_client.target(first["WALLET_ADDRESS"]) == "ipv4:127.0.0.1:18023,127.0.0.1:18123"
    assert (second["HTTP_PORT"], second["GRPC_PORT"]) == ("18120", "18121")
    own = {"HTTP_PORT", "GRPC_PORT", "IDENTITY_JWKS_URL"}
    assert {name for name in first if first[name] != second[name]} == own
    assert edge.environment(two, {})["PAYMENT_URL"] == "http://127.0.0.1:18020,http://127.0.0.1:18120"


def test_a_single_replica_has_nobody_to_hand_over_to(credentials: Credentials) -> None:
    assert "SHUTDOWN_DRAIN_SECONDS" not in fleet.service_environment(LAYOUT, credentials, "payment", {})
    process = fleet.service(Layout(Path("/srv/stack"), 18000, replicas=2), credentials, Replica("payment", 2), {})
    grace_seconds = ServiceSettings.model_fields["shutdown_grace_seconds"].default
    assert process.name == "payment-2"
    assert process.stop_wait_seconds > float(process.environment["SHUTDOWN_DRAIN_SECONDS"]) + grace_seconds


def test_services_are_told_their_own_database_and_every_node(credentials: Credentials) -> None:
    layout = Layout(Path("/srv/stack"), 18000, databases_apart=True, broker_nodes=3)
    own = fleet.migration_environment(layout, credentials, "wallet", {})
    assert urlsplit(own["DATABASE_URL"]).port == urlsplit(own["DATABASE_MIGRATION_URL"]).port == 18062
    assert [urlsplit(url).port for url in urls_of(own["RABBITMQ_URL"])] == [18003, 18103, 18203]
    arguments = fleet.bootstrap_arguments(layout, credentials, {}, ("wallet",))
    assert arguments[arguments.index("--schemas") + 1] == "wallet"
    assert urlsplit(arguments[arguments.index("--database-url") + 1]).port == 18062
