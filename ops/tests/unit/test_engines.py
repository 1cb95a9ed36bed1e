from pathlib import Path

import pytest

from ops import pgbouncer, postgresql, rabbitmq, redis_server, run_directory
from ops.ports import PORT_OFFSETS, Layout
from ops.processes import Process
from ops.stack import Stack

GIB = 1024**3
PORTS = {name: 18000 + offset for name, offset in PORT_OFFSETS.items()}


def test_what_money_rests_on_is_on() -> None:
    table = postgresql.settings(port=1, socket_folder=Path("/s"), memory_bytes=24 * GIB)
    assert {table[name][0] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}
    assert all(reason for _, reason in table.values())


@pytest.mark.parametrize(("memory", "shared"), [(24 * GIB, "1024MB"), (4 * GIB, "512MB"), (GIB // 2, "128MB")])
def test_shared_buffers_follow_the_memory(memory: int, shared: str) -> None:
    assert postgresql.settings(port=1, socket_folder=Path("/s"), memory_bytes=memory)["shared_buffers"][0] == shared


def test_the_broker_listens_on_this_machine_only_and_looks_nothing_up_elsewhere() -> None:
    home = Path("/srv/stack/rabbitmq")
    config = rabbitmq.broker_config(PORTS, password="secret", memory_bytes=24 * GIB)
    assert "listeners.tcp.local = 127.0.0.1:18003" in config
    assert "management.tcp.ip = 127.0.0.1" in config
    assert "guest" not in config.replace("`guest` never exists", "")
    variables = rabbitmq.environment(home, PORTS)
    assert not [value for value in variables.values() if value.startswith("/") and not value.startswith(str(home))]
    assert variables["ERL_EPMD_PORT"] == "18005"


def test_a_folder_with_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80)
    engines = run_directory.engines_folder(deep)
    try:
        assert len(str(engines)) < run_directory.LONGEST_FOLDER_BYTES
        assert run_directory.engines_folder(deep) == engines  # the same one the next time
    finally:
        run_directory.remove(deep)
    assert not engines.exists()
    assert not deep.exists()


@pytest.mark.parametrize(("switch", "is_prepared"), [("", False), ("off", False), ("1", True), ("on", True)])
def test_a_pooler_is_prepared_only_when_it_is_on(
    switch: str, is_prepared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, PgBouncer need not be installed."""
    prepared = []

    def prepare(name: str) -> Process:
        prepared.append(name)
        return Process(name=name, command=(name,))

    monkeypatch.setenv("POOLER", switch)
    monkeypatch.setattr(pgbouncer, "prepare", lambda **_: prepare("pgbouncer"))
    monkeypatch.setattr(postgresql, "prepare", lambda **_: prepare("postgresql"))
    monkeypatch.setattr(rabbitmq, "prepare", lambda **_: [prepare("rabbitmq")])
    monkeypatch.setattr(redis_server, "prepare", lambda **_: prepare("redis"))
    run_dir = tmp_path / "run"
    try:
        names = [process.name for process in Stack(Layout(run_dir, 18000)).engine_processes()]
    finally:
        run_directory.remove(run_dir)
    assert ("pgbouncer" in prepared) is ("pgbouncer" in names) is is_prepared
