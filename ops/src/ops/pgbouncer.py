"""POOLER=on: a private PgBouncer in transaction mode between the services and PostgreSQL, as Neon has one."""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from ops.internal_tls import Certificate, Issue
from ops.private_files import private_folder, write_private
from ops.processes import Process
from ops.run_directory import account

# Fewer sessions than a service has connections: its transactions really are handed from session to session.
SESSIONS_PER_ROLE = 3


def config(*, port: int, postgresql_port: int, home: Path, tls: Certificate | None = None) -> str:
    """pgbouncer.ini; *tls* is the server's certificate, and its authority that of both sides."""
    lines = ""
    if tls is not None:
        lines = f"""\
client_tls_sslmode = require
client_tls_cert_file = {tls.certificate}
client_tls_key_file = {tls.key}
server_tls_sslmode = verify-full
server_tls_ca_file = {tls.authority}
"""
    return f"""\
[databases]
* = host=127.0.0.1 port={postgresql_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {home}/userlist.txt
pool_mode = transaction
default_pool_size = {SESSIONS_PER_ROLE}
max_client_conn = 400
{lines}log_connections = 0
log_disconnections = 0
stats_period = 3600
"""


def prepare(
    *,
    home: Path,
    port: int,
    postgresql_port: int,
    passwords: Mapping[str, str],
    issue: Issue | None = None,
) -> Process:
    """Write the configuration and say how to run it. Raises FileNotFoundError when PgBouncer is not installed."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise FileNotFoundError("pgbouncer is missing: run `make install`")
    user = account("postgres")
    private_folder(home, user)
    tls = issue(home, user) if issue else None
    # In plain text, because it logs in with them as well.
    users = "".join(f'"{role}" "{password}"\n' for role, password in sorted(passwords.items()))
    write_private(home / "userlist.txt", users, user)
    write_private(home / "pgbouncer.ini", config(port=port, postgresql_port=postgresql_port, home=home, tls=tls), user)
    return Process(
        name="pgbouncer",
        command=(program, str(home / "pgbouncer.ini")),
        environment={"HOME": str(home)},
        user=user,
        directory=home,
        stop_signal="TERM",  # at once
    )


def answers(port: int) -> bool:
    """Whether it listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
