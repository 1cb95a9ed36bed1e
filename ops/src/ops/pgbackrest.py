"""pgBackRest beside a private PostgreSQL cluster: encrypted base backups, the WAL's archive, and restoring both."""

import json
import os
import pwd
import shutil
import subprocess
from configparser import ConfigParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from ops.private_files import private_folder, write_private
from ops.run_directory import account, others_can_enter

STANZA = "commdesk"
PROGRAM = "pgbackrest"
CONFIGURATION = "pgbackrest.conf"
# The newest base backups that are kept, each with the WAL from it on.
BACKUPS_KEPT = 2
# What a loss costs at most while little is written: a segment is archived when it is full, or after this time.
ARCHIVE_TIMEOUT_SECONDS = 60
COMMAND_SECONDS = 3600


class BackupFailed(Exception):
    """pgBackRest refused; the message is its own, or says what is missing."""


class BaseBackup(Struct, frozen=True):
    """One base backup of the repository. Times are UTC; sizes are bytes: of the database, and of what is stored."""

    label: str
    started: datetime
    stopped: datetime
    database_bytes: int
    stored_bytes: int


def configuration(
    *,
    repository: Path,
    passphrase: str,
    home: Path,
    data: Path,
    port: int,
    socket_folder: Path,
    kept: int = BACKUPS_KEPT,
) -> str:
    """pgbackrest.conf. The passphrase stands in it: the file belongs to PostgreSQL's account alone."""
    return f"""\
[global]
repo1-path={repository}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-retention-full={kept}
compress-type=lz4
process-max=1
# Ours alone: pages are checked while they are copied, and the checkpoint is made at once.
start-fast=y
lock-path={home}
spool-path={home}
log-level-file=off
log-level-console=warn

[{STANZA}]
pg1-path={data}
pg1-port={port}
pg1-socket-path={socket_folder}
pg1-user=postgres
"""


def prepare(*, engines: Path, repository: Path, passphrase: str, port: int, name: str = CONFIGURATION) -> Path:
    """Make the repository's folder, and write the configuration that it is reached by; that file.

    Raises BackupFailed when pgBackRest is not installed, or its account cannot reach the repository.
    """
    if shutil.which(PROGRAM) is None:
        raise BackupFailed("pgbackrest is missing: ops/install.sh --backup")
    user = account("postgres")
    if user is not None and not others_can_enter(_existing(repository)):
        raise BackupFailed(f"{user} cannot enter {repository}: choose another BACKUP_DIR")
    private_folder(repository, user)
    home = private_folder(engines / "pgbackrest", user)
    postgresql = engines / "postgresql"
    text = configuration(
        repository=repository,
        passphrase=passphrase,
        home=home,
        data=postgresql / "data",
        port=port,
        socket_folder=postgresql,
    )
    write_private(home / name, text, user)
    return home / name


def _existing(folder: Path) -> Path:
    """The nearest parent that is there."""
    return next(parent for parent in folder.absolute().parents if parent.is_dir())


def archive_settings() -> dict[str, tuple[str, str]]:
    """PostgreSQL's settings, value and reason, of a cluster whose process finds PGBACKREST_CONFIG."""
    return {
        "archive_mode": ("on", "each segment of the WAL goes to the backup repository"),
        "archive_command": (f"'{PROGRAM} --stanza={STANZA} archive-push %p'", "encrypted there"),
        "archive_timeout": (str(ARCHIVE_TIMEOUT_SECONDS), "what a restore can miss while little is written"),
    }


def repository_of(configuration_file: Path) -> Path:
    parser = ConfigParser(interpolation=None)
    parser.read_string(configuration_file.read_text())
    return Path(parser["global"]["repo1-path"])


def create_stanza(configuration_file: Path, password: str) -> None:
    """Make the repository ready for this cluster; once, and again without effect."""
    _run(configuration_file, "stanza-create", password=password)


def back_up(configuration_file: Path, password: str, *, incremental: bool = False) -> BaseBackup:
    """Make a base backup while the cluster serves; older ones than the newest BACKUPS_KEPT go, with their WAL."""
    _run(configuration_file, "backup", f"--type={'incr' if incremental else 'full'}", password=password)
    return base_backups(configuration_file)[-1]


def base_backups(configuration_file: Path) -> list[BaseBackup]:
    """What the repository holds, oldest first."""
    [stanza] = json.loads(_run(configuration_file, "info", "--output=json")) or [{}]
    return [
        BaseBackup(
            each["label"],
            datetime.fromtimestamp(each["timestamp"]["start"], UTC),
            datetime.fromtimestamp(each["timestamp"]["stop"], UTC),
            each["info"]["size"],
            each["info"]["repository"]["size"],
        )
        for each in stanza.get("backup", [])
    ]


def restore(configuration_file: Path, *, at: datetime | None = None) -> None:
    """Fill the cluster's empty folder from the repository: to the end of the archive, or to the moment *at*.

    PostgreSQL replays the WAL when it starts, and takes writes after that.
    """
    target = ["--type=time", f"--target={at:%Y-%m-%d %H:%M:%S.%f%z}", "--target-action=promote"] if at else []
    _run(configuration_file, *target, "restore")


def _run(configuration_file: Path, *arguments: str, password: str = "") -> str:
    """Run pgBackRest as the account of the cluster; what it prints."""
    user = account("postgres")
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "PGPASSWORD": password}
    completed = subprocess.run(
        [PROGRAM, f"--config={configuration_file}", f"--stanza={STANZA}", *arguments],
        env=environment,
        cwd="/",
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    if completed.returncode != 0:
        raise BackupFailed(f"pgbackrest {arguments[0]}: {(completed.stderr or completed.stdout).strip()[-1500:]}")
    return completed.stdout


def details(backups: list[BaseBackup]) -> list[dict[str, Any]]:
    """The same for `--json`."""
    return [
        {
            "label": each.label,
            "started": each.started.isoformat(),
            "stopped": each.stopped.isoformat(),
            "databaseBytes": each.database_bytes,
            "storedBytes": each.stored_bytes,
        }
        for each in backups
    ]
