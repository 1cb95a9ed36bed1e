"""A private Redis: the fleet's cache and hint, never a record of anything."""

import hashlib
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from common.redis_users import acl_rule
from common.services import SERVICES
from ops.internal_tls import Certificate, Issue
from ops.private_files import private_folder, write_private
from ops.processes import Process
from ops.run_directory import account

ADMINISTRATOR = "administrator"


def config(
    *,
    port: int,
    home: Path,
    password: str,
    passwords: Mapping[str, str],
    tls_port: int = 0,
    tls: Certificate | None = None,
    host: str = "127.0.0.1",
) -> str:
    """*password* is the administrator's, *passwords* those of the services."""
    users = "\n".join(acl_rule(SERVICES[name], each) for name, each in passwords.items())
    lines = ""
    if tls is not None:
        lines = f"""
tls-port {tls_port}
tls-cert-file {tls.certificate}
tls-key-file {tls.key}
tls-ca-cert-file {tls.authority}
tls-auth-clients no
"""
    return f"""\
# Locally, this machine only. Only its known users: each service touches its own keys.
bind {host}
port {port}
unixsocket {home}/redis.sock
unixsocketperm 777
user default off resetpass
user {ADMINISTRATOR} on #{hashlib.sha256(password.encode()).hexdigest()} ~* &* +@all
{users}
protected-mode yes
daemonize no
logfile ""
dir {home}

# Losing a second of hints costs speed and nothing else; limits survive a restart.
appendonly yes
appendfsync everysec
save ""

# A hint that has to make room may go: truth is in PostgreSQL.
maxmemory 256mb
maxmemory-policy allkeys-lru
tcp-backlog 511
{lines}"""


def prepare(
    *,
    engines: Path,
    port: int,
    password: str,
    passwords: Mapping[str, str],
    tls_port: int = 0,
    issue: Issue | None = None,
) -> Process:
    """Write the configuration and say how to run it; raises FileNotFoundError when Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("redis-server is missing: run `make install`")
    user = account("redis")
    home = private_folder(engines / "redis", user, mode=0o711)  # others pass through to the socket
    private_folder(home / "appendonlydir", user)
    path = home / "redis.conf"
    tls = issue(home, user) if issue else None
    text = config(port=port, home=home, password=password, passwords=passwords, tls_port=tls_port, tls=tls)
    write_private(path, text, user)
    return Process(
        name="redis", command=(program, str(path)), environment={"HOME": str(home)}, user=user, directory=home
    )


def answers(*, port: int, password: str) -> bool:
    """Whether it lets us in and answers PING (it says LOADING until its data is read)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"AUTH {ADMINISTRATOR} {password}\r\nPING\r\n".encode())
            reply = b""
            while reply.count(b"\r\n") < 2 and (chunk := connection.recv(256)):
                reply += chunk
            return reply == b"+OK\r\n+PONG\r\n"
    except OSError:
        return False
