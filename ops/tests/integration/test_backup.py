"""A cluster that archives is lost with its broker; what a second stack restores is what was archived, and sealed."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import backup, fleet, pgbackrest, postgresql, rabbitmq, restore_drill, run_directory, stack
from ops.__main__ import app
from ops.pgbackrest import BackupFailed
from ops.ports import Layout
from ops.progress import Progress
from ops.stack import Stack

PORT_BASE = int(os.environ.get("PORT_BASE", "26000")) + 1500
NAME = "Meenakshi Sundaram"
QUEUE = "billing.test"

pytestmark = pytest.mark.timeout(240)


def psql(layout: Layout, statement: str, database: str = fleet.DATABASE) -> str:
    password = Stack(layout).credentials.words["postgresql_superuser"]
    return subprocess.run(
        [
            *(postgresql.binaries() / "psql", "-XAtqc", statement, "-h", "127.0.0.1"),
            *("-p", str(layout.port("postgresql")), "-U", "postgres", database),
        ],
        env={"PGPASSWORD": password, "PATH": os.defpath},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def rabbitmqctl(layout: Layout, *arguments: str) -> str:
    known = Stack(layout)
    ports = {name: layout.port(name) for name in ("rabbitmq", "rabbitmq-distribution", "epmd")}
    environment = {"PATH": os.environ["PATH"], **rabbitmq.environment(known.engines / "rabbitmq", ports)}
    return subprocess.run(
        [
            *(rabbitmq.SERVER.with_name("rabbitmqctl"), "-q", "-n", environment["RABBITMQ_NODENAME"]),
            *("--erlang-cookie", known.credentials.words["erlang_cookie"], *arguments),
        ],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def archiving(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKUP_DIR", "POOLER", "INTERNAL_TLS", "ENCRYPTION_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BACKUP", "on")


@pytest.fixture
def lost(tmp_path: Path, archiving: None) -> Iterator[Layout]:
    layout = Layout(tmp_path / "lost", stack.free_port_base(PORT_BASE))
    try:
        stack.up(layout, engines_only=True, progress=Progress())
        yield layout
    finally:
        stack.down(layout, wipe=True, progress=Progress())


@pytest.fixture
def restored(tmp_path: Path, lost: Layout) -> Iterator[Layout]:
    layout = Layout(tmp_path / "restored", lost.port_base)
    layout.run_dir.mkdir()
    try:
        yield layout
    finally:
        stack.down(layout, wipe=True, progress=Progress())


def test_what_was_archived_is_restored_into_another_stack(
    lost: Layout, restored: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    psql(lost, f"create database {fleet.DATABASE}", "postgres")
    psql(lost, "create table books (line text primary key)")
    psql(lost, f"insert into books values ('before the backup'), ('{NAME}')")
    rabbitmqctl(lost, "eval", f'rabbit_amqqueue:declare(rabbit_misc:r(<<"commdesk">>, queue, <<"{QUEUE}">>), true, '
                "false, [], none, <<>>).")  # fmt: skip
    monkeypatch.setenv("RUN_DIR", str(lost.run_dir))
    monkeypatch.setenv("PORT_BASE", str(lost.port_base))
    ran = CliRunner().invoke(app, ["backup", "--json"])
    assert ran.exit_code == 0, ran.output
    label = json.loads(ran.stdout)["label"]
    comment = psql(lost, "select shobj_description(oid, 'pg_database') from pg_database where datname = 'commdesk'")
    assert comment.startswith("backup 20")
    psql(lost, "insert into books values ('after the backup')")
    segment = psql(lost, "select pg_walfile_name(pg_switch_wal())")
    until(lambda: psql(lost, "select last_archived_wal from pg_stat_archiver") >= segment)
    psql(lost, "insert into books values ('never archived')")

    known = Stack(lost)
    repository = known.engines / "backups"
    assert [each.label for each in pgbackrest.base_backups(known.engines / "pgbackrest/pgbackrest.conf")] == [label]
    assert private(repository)
    stored = [file for file in repository.rglob("*") if file.is_file()]
    secrets = (known.credentials.words[name] for name in ("encryption_key", "blind_index_key", "backup_passphrase"))
    for word in (NAME, "before the backup", *secrets, *known.credentials.broker.values()):
        assert not [file.name for file in stored if word.encode() in file.read_bytes()], word

    kept = (lost.run_dir / "secrets.json").read_text()
    restore_drill.lose(lost)
    stack.down(lost, wipe=False, progress=Progress())

    with pytest.raises(BackupFailed, match="no key is in the backup"):
        backup.restore(restored, repository, Progress())
    other = json.loads(kept)
    other["words"]["encryption_key"] = other["words"]["blind_index_key"]
    (restored.run_dir / "secrets.json").write_text(json.dumps(other))
    with pytest.raises(BackupFailed, match="ENCRYPTION_KEYS k1"):
        backup.restore(restored, repository, Progress())

    (restored.run_dir / "secrets.json").write_text(kept)
    monkeypatch.setenv("BACKUP", "off")
    backup.restore(restored, repository, Progress())
    assert psql(restored, "select line from books").splitlines() == ["before the backup", NAME, "after the backup"]
    assert psql(restored, "select pg_is_in_recovery()") == "f"
    assert QUEUE in rabbitmqctl(restored, "list_queues", "-p", "commdesk", "name")
    with pytest.raises(BackupFailed, match="is not empty"):
        backup.restore(restored, repository, Progress())


def private(folder: Path) -> bool:
    """Whether nobody but its account, and the administrator, may look into it."""
    return folder.stat().st_mode & 0o077 == 0


def test_a_repository_that_the_engines_account_cannot_reach_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    repository = closed / "backups"
    if run_directory.account("postgres") is None:  # it is ours
        assert pgbackrest.prepare(engines=tmp_path, repository=repository, passphrase="x", port=1).is_file()
        return
    with pytest.raises(BackupFailed, match="choose another BACKUP_DIR"):
        pgbackrest.prepare(engines=tmp_path, repository=repository, passphrase="x", port=1)


def test_a_stack_that_archives_nothing_has_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="BACKUP=on"):
        backup.back_up(Layout(tmp_path, PORT_BASE))
