"""A private PostgreSQL cluster: made once, configured from one table, run in the foreground."""

import os
import pwd
import re
import subprocess
from pathlib import Path

import psutil

from ops import pgbackrest
from ops.internal_tls import Certificate, Issue
from ops.private_files import give, private_folder, write_private
from ops.processes import Process
from ops.run_directory import account

OLDEST_VERSION = 14
SUPERUSER = "postgres"

GIB = 1024**3
# With one replica of each service; each further one adds its pools.
CONNECTIONS, CONNECTIONS_OF_REPLICA = 120, 40


def binaries() -> Path:
    """The folder with the newest installed server's programs; raises FileNotFoundError when there is none."""
    versions = {
        int(path.parents[1].name): path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")
        if re.fullmatch(r"\d+", path.parents[1].name)
    }
    usable = [version for version in versions if version >= OLDEST_VERSION]
    if not usable:
        raise FileNotFoundError(
            f"no PostgreSQL {OLDEST_VERSION} or newer below /usr/lib/postgresql: run `make install`"
        )
    return versions[max(usable)]


def settings(
    *,
    port: int,
    socket_folder: Path,
    memory_bytes: int,
    disposable: bool = False,
    tls: Certificate | None = None,
    host: str = "127.0.0.1",
    archived: bool = False,
    connections: int = CONNECTIONS,
) -> dict[str, tuple[str, str]]:
    """Every setting that differs from PostgreSQL's default or that money rests on: value and reason.

    A *disposable* cluster serves unit and integration tests, which make a database each: nothing in it outlives them.
    """
    shared_gib = memory_bytes / 8 / GIB
    shared_mib = max(128, min(1024, int(shared_gib * 1024)))
    table = {
        "listen_addresses": (f"'{host}'", "locally, this machine only"),
        "port": (str(port), "never the machine's own instance"),
        "unix_socket_directories": (f"'{socket_folder}'", "for tools; the path has to stay short"),
        "max_connections": (
            str(connections),
            "a fleet-wide budget: small pools without overflow, tests and tools beside them",
        ),
        "password_encryption": ("'scram-sha-256'", "no md5"),
        "fsync": ("on", "an answered request is on the disk"),
        "synchronous_commit": ("on", "the same; single transactions that can be redone turn it off themselves"),
        "full_page_writes": ("on", "a torn page after a crash must not cost a ledger"),
        "shared_buffers": (f"{shared_mib}MB", "an eighth of the memory up to 1 GB: the hot set is recent rows"),
        "effective_cache_size": (f"{shared_mib * 3}MB", "what the kernel caches beside that, for the planner"),
        "work_mem": ("16MB", "sorting a batch of 1,000 never spills"),
        "maintenance_work_mem": ("128MB", "indexes of a fresh partition in one pass"),
        "wal_buffers": ("64MB", "group commits never wait for buffer space"),
        "max_wal_size": ("8GB", "checkpoints come by time, not by volume: fewer full pages in the WAL"),
        "checkpoint_timeout": ("30min", "the same; recovery after a crash takes longer instead"),
        "checkpoint_completion_target": ("0.9", "written evenly, no bursts"),
        "wal_compression": (
            "off",
            "processor time is short here, disk is not, and time-ordered keys make few full pages",
        ),
        "jit": ("off", "statements are short: compiling them costs more than it saves, and in spikes"),
        "max_parallel_workers_per_gather": ("0", "two cores, many connections: parallel plans only steal"),
        "random_page_cost": ("1.1", "solid-state storage"),
        "autovacuum_naptime": ("30s", "queues of rows (outbox, inbox) turn over quickly; each look costs all the same"),
        "autovacuum_vacuum_threshold": ("20000", "small tables that grow are not visited at every doubling"),
        "autovacuum_vacuum_insert_threshold": ("500000", "rows that never change only need their visibility noted"),
        "autovacuum_analyze_threshold": ("2000", "a plan that was made on an empty table is made anew soon"),
        "autovacuum_analyze_scale_factor": ("2", "and then each time it has tripled: the ways to probe stay the same"),
        "default_statistics_target": (
            "2",
            "a fiftieth of the rows: all tables took 1.3 s of a core; plans probe indexes whatever it says",
        ),
        "autovacuum_max_workers": ("2", "a table at a time and a queue beside it: two cores have others to serve"),
        "log_min_duration_statement": ("1000", "what takes a second is worth a line"),
        "log_lock_waits": ("on", "the same for locks"),
        "log_parameter_max_length": ("0", "parameters are personal data"),
        "log_parameter_max_length_on_error": ("0", "the same"),
        "log_line_prefix": ("'%m [%p] %q%u@%d '", "who and when"),
        "log_destination": ("'stderr'", "the supervisor keeps the log"),
        "logging_collector": ("off", "the same"),
        "timezone": ("'UTC'", "one clock everywhere"),
        "log_timezone": ("'UTC'", "the same"),
    }
    if tls is not None:
        table["ssl"] = ("on", "who asks for it gets it, on the same port")
        table["ssl_cert_file"] = (f"'{tls.certificate}'", "of the stack's own authority")
        table["ssl_key_file"] = (f"'{tls.key}'", "its key")
    if archived:
        table |= pgbackrest.archive_settings()
    if disposable:
        table["fsync"] = ("off", "tests make hundreds of databases; no crash is survived here, nor tested here")
        table["full_page_writes"] = ("off", "the same")
    return table


def render(table: dict[str, tuple[str, str]]) -> str:
    return "".join(f"{name} = {value}  # {reason}\n" for name, (value, reason) in table.items())


def prepare(
    *,
    engines: Path,
    port: int,
    password: str,
    name: str = "postgresql",
    memory_share: float = 1.0,
    connections: int = CONNECTIONS,
    disposable: bool = False,
    issue: Issue | None = None,
    archive: Path | None = None,
) -> Process:
    """Make the cluster if it is not there yet, write its settings, and say how to run it.

    *name* is of its process and folder; it takes *memory_share* of what a single instance would. *archive* is
    pgBackRest's configuration where the WAL is archived.
    """
    user = account("postgres")
    home = private_folder(engines / name, user, mode=0o711)  # others pass through to the socket
    data = home / "data"
    if not (data / "PG_VERSION").is_file():
        _initialise(data, password=password, user=user)
    programs = _programs_for(data)
    memory_bytes, tls = int(psutil.virtual_memory().total * memory_share), issue(home, user) if issue else None
    table = settings(
        port=port,
        socket_folder=home,
        memory_bytes=memory_bytes,
        disposable=disposable,
        tls=tls,
        archived=archive is not None,
        connections=connections,
    )
    if not (data / "recovery.signal").is_file():  # a restore's own settings stand in it until it has ended
        write_private(data / "postgresql.auto.conf", "", user)  # ALTER SYSTEM would silently win over the table
    write_private(data / "postgresql.conf", render(table), user)
    return Process(
        name=name,
        command=(str(programs / "postgres"), "-D", str(data)),
        environment={
            "LANG": "C.UTF-8",
            "HOME": str(home),
            **({"PGBACKREST_CONFIG": str(archive)} if archive else {}),
        },
        user=user,
        directory=home,
        stop_signal="INT",  # "fast": end the sessions, write a checkpoint, leave
        stop_wait_seconds=60,
    )


def answers(*, port: int, password: str) -> bool:
    """Whether a query comes back over the port that services use."""
    return psql("select 1", port=port, password=password).stdout.strip() == "1"


def psql(
    statement: str, *, port: int, password: str, host: str = "127.0.0.1", database: str = SUPERUSER
) -> subprocess.CompletedProcess[str]:
    """What psql says to one statement of the superuser's: values alone, a line each."""
    return subprocess.run(
        [
            *(binaries() / "psql", "-XAtqc", statement),
            *("-h", host, "-p", str(port), "-U", SUPERUSER, database),
        ],
        env={"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )


def _programs_for(data: Path) -> Path:
    """A cluster runs on the version that made it, also after a newer one got installed."""
    programs = Path("/usr/lib/postgresql") / (data / "PG_VERSION").read_text().strip() / "bin"
    if not (programs / "postgres").is_file():
        raise FileNotFoundError(f"{data} needs {programs}: install that version, or delete the stack's folder")
    return programs


def _initialise(data: Path, *, password: str, user: str | None) -> None:
    private_folder(data, user)
    password_file = data.with_name("superuser")
    write_private(password_file, password + "\n", user)
    try:
        subprocess.run(
            [
                binaries() / "initdb",
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--data-checksums",
            ],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"initdb failed: {error.stderr.strip()}") from error
    finally:
        password_file.unlink(missing_ok=True)
    give(data, user)
