"""Bring the stack up and down. Both may be repeated; neither touches anything outside the stack's folder and ports."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
from msgspec.structs import replace

from common.services import SCHEMAS, SERVICES
from ops import (
    database_observer,
    edge,
    fleet,
    internal_tls,
    pgbackrest,
    pgbouncer,
    postgresql,
    rabbitmq,
    readiness,
    redis_server,
    run_directory,
)
from ops.credentials import OPERATOR, Credentials, load_or_generate
from ops.ports import PORT_OFFSETS, Layout, is_on
from ops.private_files import write_private
from ops.processes import Process
from ops.progress import Progress
from ops.supervision import State, Supervisor, end_orphans

# What the names of the engines' processes begin with.
ENGINES = ("postgresql", "pgbouncer", "epmd", "rabbitmq", "redis", "mail")
READY_TIMEOUT_SECONDS = 90
# Python start-ups take all of a core each: more at once only take turns.
MIGRATIONS_AT_ONCE = 3
LOG_LINES_SHOWN = 15


class StackFailed(Exception):
    """The stack did not come up; the message says what failed and how its log ends."""


class Stack:
    """One stack on this machine: its layout, its credentials, its supervisor."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.engines = run_directory.engines_folder(layout.run_dir)
        self.credentials: Credentials = load_or_generate(layout.run_dir / "secrets.json")
        self.supervisor = Supervisor(layout.run_dir, self.engines)

    def engine_processes(self, *, disposable: bool = False) -> list[Process]:
        layout, secrets = self.layout, self.credentials
        ports = {name: layout.port(name) for name in PORT_OFFSETS}
        is_secured = is_on(os.environ, "INTERNAL_TLS", default=False)
        issue = partial(internal_tls.prepare_engine, layout) if is_secured else None
        pooler = []
        if is_on(os.environ, "POOLER", default=False):
            pooler = [
                pgbouncer.prepare(
                    home=self.engines / "pgbouncer",
                    port=ports["pgbouncer"],
                    postgresql_port=ports["postgresql"],
                    passwords={schema: secrets.database[schema] for schema in SCHEMAS},
                    issue=issue,
                )
            ]
        database_ports = {name: layout.database_port(schemas[0]) for name, schemas in layout.databases().items()}
        database_ports.setdefault("postgresql", ports["postgresql"])
        processes = [
            *(
                postgresql.prepare(
                    engines=self.engines,
                    port=port,
                    password=secrets.words["postgresql_superuser"],
                    name=name,
                    memory_share=1 / len(database_ports),
                    connections=postgresql.CONNECTIONS + postgresql.CONNECTIONS_OF_REPLICA * (layout.replicas - 1),
                    disposable=disposable,
                    issue=issue,
                    archive=self.archive(),
                )
                for name, port in database_ports.items()
            ),
            *pooler,
            *rabbitmq.prepare(
                engines=self.engines,
                ports={name: layout.broker_ports(node) for name, node in layout.broker_names().items()},
                password=secrets.words["rabbitmq_administrator"],
                cookie=secrets.words["erlang_cookie"],
                issue=issue,
            ),
            redis_server.prepare(
                engines=self.engines,
                port=ports["redis"],
                password=secrets.words["redis"],
                passwords=secrets.redis,
                tls_port=ports["redis-tls"],
                issue=issue,
            ),
            Process(
                name="mail",
                command=(
                    *(sys.executable, "-m", "ops.mail_sink"),
                    *("--smtp-port", str(ports["smtp"]), "--http-port", str(ports["mail"])),
                ),
            ),
        ]
        return self._restarted_by_another_authority(processes) if is_secured else processes

    def archive(self) -> Path | None:
        """Write pgBackRest's configuration, with BACKUP=on; None without. Raises BackupFailed."""
        if not is_on(os.environ, "BACKUP", default=False):
            return None
        return pgbackrest.prepare(
            engines=self.engines,
            repository=Path(os.environ.get("BACKUP_DIR") or self.engines / "backups"),
            passphrase=self.credentials.words["backup_passphrase"],
            port=self.layout.port("postgresql"),
        )

    def fleet_processes(self) -> list[Process]:
        """What runs on the engines, in the order of the table."""
        is_secured = is_on(os.environ, "INTERNAL_TLS", default=False)
        if is_secured:
            internal_tls.prepare(self.layout, [*SERVICES, OPERATOR])
        replicas = self.layout.all_replicas().values()
        processes = [
            edge.prepare(self.layout),
            fleet.sandbox(self.layout, self.credentials, os.environ),
            *(fleet.service(self.layout, self.credentials, each, os.environ) for each in replicas),
        ]
        return self._restarted_by_another_authority(processes) if is_secured else processes

    def _restarted_by_another_authority(self, processes: list[Process]) -> list[Process]:
        """Certificates are read at the start alone, and `up` restarts a process whose environment changed."""
        authority = {"COMMDESK_AUTHORITY": internal_tls.fingerprint(self.layout)}
        return [replace(process, environment={**process.environment, **authority}) for process in processes]

    def described(self, pids: Mapping[str, int], *, engines_only: bool) -> dict[str, object]:
        """What others need to know to talk to this stack, whose processes have *pids*."""
        return {
            **fleet.description(self.layout, self.credentials, os.environ),
            "engines_only": engines_only,
            "pids": pids,
            "logs": str(self.layout.logs),
            "sockets": {
                "postgresql": str(self.engines / "postgresql"),
                "redis": str(self.engines / "redis" / "redis.sock"),
                "supervisor": str(self.engines / "supervisor.sock"),
            },
        }

    def describe(self, engines_only: bool) -> dict[str, object]:
        """Write stack.json, and return it."""
        pids = {state.name: state.pid for state in self.supervisor.states() if state.pid}
        described = self.described(pids, engines_only=engines_only)
        write_private(self.layout.description, json.dumps(described, indent=2) + "\n")
        return described


def up(layout: Layout, *, engines_only: bool, progress: Progress, disposable: bool = False) -> dict[str, object]:
    """Start whatever does not run yet and wait until all of it works. Raises StackFailed."""
    with _alone(layout.run_dir):
        stack = Stack(layout)
        _restart_or_refuse(stack, progress)
        _refuse_other_engines(stack)
        processes = stack.engine_processes(disposable=disposable)
        if not engines_only:
            processes += stack.fleet_processes()
        progress.done("prepared folders, credentials and configurations")
        _supervise(stack, processes)
        names = [process.name for process in processes]
        replicas = [name for name in names if name in layout.all_replicas()]
        others = [name for name in names if name not in replicas]
        _start(stack, others, progress)
        if archive := stack.archive():
            pgbackrest.create_stanza(archive, stack.credentials.words["postgresql_superuser"])
            progress.done("the backup repository is ready")
        if replicas:
            migrate(stack, progress)
            if layout.databases_apart:
                database_observer.prepare(layout, stack.credentials)
                progress.done("the observer sees all databases")
            _start(stack, replicas, progress)
        return stack.describe(engines_only)


def down(layout: Layout, *, wipe: bool, progress: Progress) -> None:
    """Stop everything that belongs to this stack; with `wipe`, delete its data too."""
    if not layout.run_dir.is_dir():
        return
    with _alone(layout.run_dir):
        supervisor = Supervisor(layout.run_dir, run_directory.engines_folder(layout.run_dir))
        if supervisor.alive():
            running = [state.name for state in supervisor.states() if state.pid]
            # Services first, together: they still need the engines to finish what is in hand. The edge before them.
            in_front = [name for name in running if name in ("edge", "sandbox")]
            engines = [name for name in running if name.startswith(ENGINES)]
            _stop(supervisor, in_front, progress)
            _stop(supervisor, [name for name in running if name not in (*in_front, *engines)], progress)
            _stop(supervisor, engines, progress)
            supervisor.shutdown()
        orphans = end_orphans(layout.run_dir)
        if orphans:
            progress.note(f"ended processes that had lost their supervisor: {', '.join(orphans)}")
        layout.description.unlink(missing_ok=True)
    if wipe:
        run_directory.remove(layout.run_dir)
    progress.done("down" + (", data deleted" if wipe else ""))


def states(layout: Layout) -> list[State]:
    """Every process as its supervisor sees it; empty when nothing runs."""
    supervisor = existing_supervisor(layout)
    return supervisor.states() if supervisor else []


def existing_supervisor(layout: Layout) -> Supervisor | None:
    """The supervisor of a stack that is up, else None. Makes nothing."""
    engines = layout.run_dir / "engines"
    if not engines.is_dir():
        return None
    supervisor = Supervisor(layout.run_dir, engines.resolve())
    return supervisor if supervisor.alive() else None


def free_port_base(lowest: int, replicas: int = 1) -> int:
    """`lowest`, or the next port base above it that has all ports of a stack with *replicas* free."""
    for base in range(lowest, lowest + 5000, 100):
        if not _taken(Layout(Path("/nonexistent"), base, replicas=replicas)):
            return base
    raise StackFailed(f"no free block of ports above {lowest}")


def _restart_or_refuse(stack: Stack, progress: Progress) -> None:
    """A running stack is taken over, orphans of a killed one are ended; ports in other hands are an error."""
    layout = stack.layout
    if stack.supervisor.alive():
        if layout.description.is_file():
            port_base = json.loads(layout.description.read_text())["port_base"]
            if port_base != layout.port_base:
                raise StackFailed(f"this stack already runs on PORT_BASE={port_base}; `commdesk down` first")
        return
    orphans = end_orphans(layout.run_dir)
    if orphans:
        progress.note(f"ended processes that had lost their supervisor: {', '.join(orphans)}")
    in_use = _taken(layout)
    if in_use:
        raise StackFailed(f"ports in use by others: {', '.join(in_use)}. Choose another PORT_BASE.")


def _refuse_other_engines(stack: Stack) -> None:
    """Data lies where it lies: a stack is not taken apart, nor a cluster made of one node, by a switch. StackFailed."""
    layout = stack.layout
    if layout.databases_apart and is_on(os.environ, "POOLER", default=False):
        raise StackFailed("POOLER=on leads to one PostgreSQL instance: it does not go with DATABASES=apart")
    if layout.databases_apart and is_on(os.environ, "BACKUP", default=False):
        raise StackFailed("BACKUP=on knows one PostgreSQL instance: it does not go with DATABASES=apart")
    if layout.broker_nodes > 1 and is_on(os.environ, "INTERNAL_TLS", default=False):
        raise StackFailed("INTERNAL_TLS=on knows one RabbitMQ node: it does not go with BROKER_NODES")
    for engine, wanted in (
        ("postgresql", {"postgresql", *layout.databases()}),
        ("rabbitmq", layout.broker_names().keys()),
    ):
        made = {path.name for path in stack.engines.glob(f"{engine}*")}
        if made and made != wanted:
            raise StackFailed(
                f"this stack was made with other instances of {engine}: start it with the same DATABASES and"
                " BROKER_NODES again, or delete its data first (`commdesk down --wipe`)"
            )


def _taken(layout: Layout) -> list[str]:
    ours = layout.all_ports()
    listening = {
        connection.laddr.port
        for connection in psutil.net_connections("tcp4")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ours
    }
    return [f"{port} ({ours[port]})" for port in sorted(listening)]


def _supervise(stack: Stack, processes: list[Process]) -> None:
    """Hand the processes to supervisord, started if need be; those whose configuration changed are stopped."""
    supervisor = stack.supervisor
    if not supervisor.alive():
        supervisor.configure(processes)
        supervisor.launch()
        return
    changed = supervisor.configure(processes)
    supervisor.reload()
    running = {state.name for state in supervisor.states() if state.pid}
    if changed & running:
        supervisor.stop(*sorted(changed & running))


def _start(stack: Stack, names: list[str], progress: Progress) -> None:
    for name in names:
        stack.supervisor.start(name)
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        waits: dict[Future[None], str] = {pool.submit(_wait_until_ready, stack, name): name for name in names}
        for wait in as_completed(waits):
            wait.result()
            if waits[wait] != "epmd":
                progress.done(f"{waits[wait]} is ready")


def _wait_until_ready(stack: Stack, name: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    pause_seconds = 0.1
    while not readiness.is_ready(stack.layout, stack.credentials, name):
        if time.monotonic() > deadline:
            raise StackFailed(
                f"{name} is not ready after {READY_TIMEOUT_SECONDS} s; the end of its log:\n"
                + log_end(stack.layout.logs / f"{name}.log")
            )
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, 1.0)


def _stop(supervisor: Supervisor, names: list[str], progress: Progress) -> None:
    if names:
        supervisor.stop(*names)
        progress.done(f"stopped {', '.join(names)}")


def migrate(stack: Stack, progress: Progress) -> None:
    """Roles, schemas and the broker's topology as this checkout wants them; replicas may run meanwhile. StackFailed."""
    _bootstrap(stack, progress)
    _migrate(stack, SERVICES, progress)


def _bootstrap(stack: Stack, progress: Progress) -> None:
    """Databases, roles, schemas, broker users: once per stack, and again without effect."""
    layout, secrets = stack.layout, stack.credentials
    for schemas in layout.databases().values():
        _run(
            "bootstrap",
            fleet.bootstrap_arguments(layout, secrets, os.environ, schemas),
            environment={},
            logs=layout.logs,
        )
    progress.done("database, roles and broker users are in place")


def _migrate(stack: Stack, services: Iterable[str], progress: Progress) -> None:
    """`<svc> migrate` for each: the schema as its owner, and its part of the broker's topology."""

    def migrate(name: str) -> None:
        environment = fleet.migration_environment(stack.layout, stack.credentials, name, os.environ)
        _run(
            f"{name}-migrate",
            ["-m", SERVICES[name].package, "migrate"],
            environment=environment,
            logs=stack.layout.logs,
        )

    names = [name for name in services if SERVICES[name].database]
    with ThreadPoolExecutor(max_workers=MIGRATIONS_AT_ONCE) as pool:
        for _ in pool.map(migrate, names):
            pass
    progress.done(f"migrated {', '.join(names)}")


def _run(name: str, arguments: list[str], *, environment: dict[str, str], logs: Path) -> None:
    """Run Python with `arguments` to its end, its output in the logs. Raises StackFailed with the end of that."""
    log = logs / f"{name}.log"
    basics = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    log.unlink(missing_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as output:
        code = subprocess.call(
            [sys.executable, *arguments],
            env={**basics, **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    if code != 0:
        raise StackFailed(f"{name} ended with {code}; the end of its log:\n{log_end(log)}")


def log_end(log: Path) -> str:
    """The last lines of a log, indented."""
    if not log.is_file():
        return f"  (no log at {log})"
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n".join([*(f"  {line}" for line in lines), f"  (all of it: {log})"])


@contextmanager
def _alone(run_dir: Path) -> Iterator[None]:
    """One `up` or `down` of a stack at a time; a second one waits for the first."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
