import json
from pathlib import Path

import pytest

from common.services import SCHEMAS, SERVICES
from ops.ports import DEFAULT_PORT_BASE, PORT_OFFSETS, Layout, Replica, SwitchUnreadable, is_on


def test_no_port_is_given_twice() -> None:
    ports = Layout(Path("/srv/stack"), 18000).all_ports()
    assert len(ports) == len(PORT_OFFSETS) + 2 * len(SERVICES)
    assert min(ports) == 18000
    assert max(ports) < 18100  # blocks of a hundred, so that stacks stand side by side


def test_ports_are_where_the_conventions_say() -> None:
    found = Layout(Path("/srv/stack"), 18000)
    assert found.edge_url == "http://127.0.0.1:18000"
    assert (found.http_port("payment"), found.grpc_port("payment")) == (18020, 18021)
    assert (found.http_port("webhook-ingest"), found.grpc_port("identity")) == (18026, 18035)


def test_a_stack_keeps_its_port_base_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    monkeypatch.delenv("PORT_BASE", raising=False)
    assert Layout.from_environment().port_base == DEFAULT_PORT_BASE
    (tmp_path / "stack.json").write_text(json.dumps({"port_base": 22000}))
    assert Layout.from_environment().port_base == 22000
    monkeypatch.setenv("PORT_BASE", "23000")
    assert Layout.from_environment().port_base == 23000


def test_a_stack_keeps_its_replicas_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    monkeypatch.delenv("REPLICAS", raising=False)
    assert Layout.from_environment().replicas == 1
    (tmp_path / "stack.json").write_text(json.dumps({"port_base": 22000, "replicas": 2}))
    assert Layout.from_environment().replicas == 2
    monkeypatch.setenv("REPLICAS", "3")
    assert Layout.from_environment().replicas == 3
    for wrong in ("0", "-1", "two", "1000"):
        monkeypatch.setenv("REPLICAS", wrong)
        with pytest.raises(SwitchUnreadable, match="REPLICAS"):
            Layout.from_environment()


@pytest.mark.parametrize("replicas", [2, 8])
def test_replicas_have_ports_and_names_of_their_own(replicas: int) -> None:
    layout = Layout(Path("/srv/stack"), 18000, replicas=replicas)
    assert len(layout.all_ports()) == len(PORT_OFFSETS) + 2 * replicas * len(SERVICES)
    assert len(layout.all_replicas()) == replicas * len(SERVICES)
    assert layout.all_replicas()["webhook-ingest-2"] == Replica("webhook-ingest", 2)
    assert layout.all_ports()[18126] == "webhook-ingest-2 HTTP"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("1", "on", "ON", "true", "True", "yes")),
        *((text, False) for text in ("0", "off", "OFF", "false", "no")),
    ],
)
@pytest.mark.parametrize("default", [True, False])
def test_every_switch_knows_the_same_words(text: str, expected: bool, default: bool) -> None:
    assert is_on({"POOLER": text}, "POOLER", default) is expected


@pytest.mark.parametrize("default", [True, False])
def test_a_switch_that_nobody_set_is_as_it_was(default: bool) -> None:
    assert is_on({}, "POOLER", default) is is_on({"POOLER": ""}, "POOLER", default) is default
    with pytest.raises(SwitchUnreadable, match="POOLER"):
        is_on({"POOLER": "onn"}, "POOLER", default)


def test_databases_and_nodes_have_ports_of_their_own() -> None:
    layout = Layout(Path("/srv/stack"), 18000, replicas=2, databases_apart=True, broker_nodes=3)
    ports = layout.all_ports()
    databases, replicas = len(layout.databases()), 2 * len(SERVICES)
    assert databases == len(SCHEMAS)
    # Each further node has a port of its own for all but epmd, and for none of the other engines.
    assert len(ports) == len(PORT_OFFSETS) + 2 * replicas + databases + 2 * 5
    assert (layout.database_port("payment"), ports[18060]) == (18060, "postgresql-payment")
    assert layout.broker_ports(3)["rabbitmq"] == 18203
    assert len({each["epmd"] for each in map(layout.broker_ports, (1, 2, 3))}) == 1


def test_one_database_and_one_node_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    for name in ("DATABASES", "BROKER_NODES"):
        monkeypatch.delenv(name, raising=False)
    layout = Layout.from_environment()
    assert layout.databases() == {"postgresql": SCHEMAS}
    assert layout.broker_names() == {"rabbitmq": 1}
    (tmp_path / "stack.json").write_text(json.dumps({"databases": "apart", "broker_nodes": 3}))
    layout = Layout.from_environment()
    assert (layout.databases_apart, layout.broker_nodes) == (True, 3)
    monkeypatch.setenv("DATABASES", "elsewhere")
    with pytest.raises(SwitchUnreadable, match="DATABASES"):
        Layout.from_environment()
