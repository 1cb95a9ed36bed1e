"""Backups of a stack: PostgreSQL's base backup and WAL, the broker's definitions, and which keys must be kept."""

import hashlib
import json
import os
import shutil
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from common.seals import read_key, read_keys
from ops import fleet, pgbackrest, postgresql, stack
from ops.pgbackrest import BackupFailed, BaseBackup
from ops.ports import Layout
from ops.private_files import private_folder, write_private
from ops.progress import Progress
from ops.rabbitmq import ADMINISTRATOR
from ops.run_directory import account
from ops.stack import Stack

DEFINITIONS = "definitions"
KEYS = "keys.json"
RESTORE_CONFIGURATION = "restore.conf"
HTTP_SECONDS = 30
# Guessing a passphrase from what the backup holds about it costs as much as guessing it from what it has sealed.
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}


def back_up(layout: Layout, *, incremental: bool = False) -> BaseBackup:
    """Back up a running stack that archives its WAL. Raises BackupFailed.

    PostgreSQL's part is encrypted; the definitions hold salted hashes of the broker's passwords, and lie in a folder
    that nobody else may enter. No key lies in the backup.
    """
    known = Stack(layout)
    configuration_file = known.engines / "pgbackrest" / pgbackrest.CONFIGURATION
    if not configuration_file.is_file():
        raise BackupFailed("this stack archives nothing: start it with BACKUP=on")
    password = known.credentials.words["postgresql_superuser"]
    made = pgbackrest.back_up(configuration_file, password, incremental=incremental)
    repository, user = pgbackrest.repository_of(configuration_file), account("postgres")
    folder = private_folder(repository / DEFINITIONS, user)
    write_private(folder / f"{made.label}.json", json.dumps(_definitions(known)), user)
    labels = {each.label for each in pgbackrest.base_backups(configuration_file)}
    for file in folder.glob("*.json"):
        if file.stem not in labels:
            file.unlink()
    write_private(repository / KEYS, json.dumps(keys(known), indent=2) + "\n", user)
    record(layout, password, made.stopped)
    return made


def record(layout: Layout, password: str, at: datetime) -> None:
    """Write when a base backup ended where every service may read it: as the database's comment."""
    _psql(layout, password, f"comment on database {fleet.DATABASE} is 'backup {at:%Y-%m-%dT%H:%M:%SZ}'")


def keys(known: Stack) -> dict[str, Any]:
    """Which secrets a restore needs, with a fingerprint of each, and which may be made anew. None in plain."""
    environment = fleet.service_environment(known.layout, known.credentials, "payment", os.environ)
    needed = {f"ENCRYPTION_KEYS {key_id}": key for key_id, key in read_keys(environment["ENCRYPTION_KEYS"]).items()}
    needed["BLIND_INDEX_KEY"] = read_key(environment["BLIND_INDEX_KEY"], "BLIND_INDEX_KEY")
    needed["backup passphrase"] = known.credentials.words["backup_passphrase"].encode()
    return {
        "needed": {name: fingerprint(name, key) for name, key in needed.items()},
        "replaceable": [
            "passwords of PostgreSQL, RabbitMQ and Redis",
            "SERVICE_PRIVATE_KEY of each service, and SERVICE_PUBLIC_KEYS",
            "TOKEN_PRIVATE_KEY, JWT_SECRET: everybody logs in again",
            "credentials of gateways and of the mail relay, at their provider",
        ],
    }


def fingerprint(name: str, key: bytes) -> str:
    """The same for the same key; the key cannot be derived from it."""
    return hashlib.scrypt(key, salt=f"commdesk backup {name}".encode(), **SCRYPT).hex()


def restore(layout: Layout, repository: Path, progress: Progress, *, at: datetime | None = None) -> None:
    """Fill the engines of a new stack from a backup; they run afterwards, `up` starts the rest. Raises BackupFailed.

    The stack's secrets.json must be there already: its keys are not in the backup. Redis and the queues begin empty.
    """
    secrets = layout.run_dir / "secrets.json"
    if not secrets.is_file():
        raise BackupFailed(f"put the kept secrets at {secrets} first: no key is in the backup")
    known = Stack(layout)
    _check_keys(known, repository)
    user = account("postgres")
    data = private_folder(private_folder(known.engines / "postgresql", user, mode=0o711) / "data", user)
    if any(data.iterdir()):
        raise BackupFailed(f"{data} is not empty: restore into a RUN_DIR of its own, or delete the data first")
    configuration_file = pgbackrest.prepare(
        engines=known.engines,
        repository=repository,
        passphrase=known.credentials.words["backup_passphrase"],
        port=layout.port("postgresql"),
        name=RESTORE_CONFIGURATION,
    )
    try:
        pgbackrest.restore(configuration_file, at=at)
    except BackupFailed:
        shutil.rmtree(data, ignore_errors=True)
        raise
    progress.done("PostgreSQL's files are restored")
    stack.up(layout, engines_only=True, progress=progress)
    progress.done("PostgreSQL has replayed its WAL")
    definitions = sorted((repository / DEFINITIONS).glob("*.json"))
    if definitions:
        _management(known, "POST", definitions[-1].read_bytes())
        progress.done("the broker has its users, rights, queues and bindings")


def recovered_to(layout: Layout, password: str) -> str:
    """The time of the last transaction that a restore brought back, as PostgreSQL logged it; empty without one."""
    return _psql(layout, password, "select coalesce(pg_last_xact_replay_timestamp()::text, '')")


def _check_keys(known: Stack, repository: Path) -> None:
    manifest = repository / KEYS
    expected: Mapping[str, str] = json.loads(manifest.read_text())["needed"] if manifest.is_file() else {}
    present = keys(known)["needed"]
    missing = [name for name, mark in expected.items() if present.get(name) != mark]
    if missing:
        raise BackupFailed(f"the backup needs other keys than these: {', '.join(missing)}")


def _definitions(known: Stack) -> Any:
    """Users, rights, queues, exchanges, bindings, policies."""
    return json.loads(_management(known, "GET"))


def _management(known: Stack, method: str, body: bytes | None = None) -> bytes:
    url = f"http://{known.layout.address('rabbitmq-management')}/api/definitions"
    request = urllib.request.Request(url, data=body, method=method)
    login = f"{ADMINISTRATOR}:{known.credentials.words['rabbitmq_administrator']}"
    request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as response:
            content: bytes = response.read()
            return content
    except OSError as error:
        raise BackupFailed(f"RabbitMQ's definitions: {error}") from error


def _psql(layout: Layout, password: str, statement: str) -> str:
    host, port = layout.host("postgresql"), layout.port("postgresql")
    completed = postgresql.psql(statement, host=host, port=port, password=password, database=fleet.DATABASE)
    if completed.returncode != 0:
        raise BackupFailed(completed.stderr.strip())
    return completed.stdout.strip()
