"""A private RabbitMQ node with its own epmd, cookie and folders; it shares nothing with the machine's own."""

import base64
import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import psutil

from ops.internal_tls import Certificate, Issue
from ops.private_files import private_folder, write_private
from ops.processes import Process
from ops.run_directory import account

ADMINISTRATOR = "administrator"
VHOST = "commdesk"

# The packaged wrapper in /usr/sbin insists on root and on the machine's own folders; this is what it wraps.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

MIB = 1024**2

ADVANCED_CONFIG = """\
[
  {rabbit, [
    %% A few fast publishers, each with its own bounded window: the cautious defaults (32 commands, 400 credits)
    %% throttle them.
    {quorum_commands_soft_limit, 256},
    {credit_flow_default_credit, {2000, 1000}},
    %% What expires in a retry tier goes home at least once. By default 32 messages are on their way at a time and an
    %% unconfirmed one is repeated after three minutes: a home queue that is away would stop the tier for all others.
    {dead_letter_worker_consumer_prefetch, 1000},
    {dead_letter_worker_publisher_confirm_timeout, 20000}
  ]}
].
"""


def broker_config(
    ports: Mapping[str, int],
    *,
    password: str,
    memory_bytes: int,
    tls: Certificate | None = None,
    host: str = "127.0.0.1",
    cluster: Sequence[str] = (),
) -> str:
    """rabbitmq.conf, the same keys for 3.10 and 4.x. `ports` by the names of the layout, *cluster* names all nodes."""
    lines = "".join(
        f"cluster_formation.classic_config.nodes.{number} = {node}\n" for number, node in enumerate(cluster, 1)
    )
    if cluster:
        # A minority stops, and a queue's leaders lie on all nodes.
        lines += "cluster_formation.peer_discovery_backend = classic_config\n"
        lines += "cluster_partition_handling = pause_minority\nqueue_leader_locator = balanced\n"
    if tls is not None:
        lines += f"""
listeners.ssl.local = {host}:{ports["rabbitmq-tls"]}
ssl_options.certfile = {tls.certificate}
ssl_options.keyfile = {tls.key}
ssl_options.cacertfile = {tls.authority}
# Users are known by their passwords.
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
"""
    memory_mib = max(256, min(2048, memory_bytes // MIB // 4))
    return f"""\
# Locally, this machine only.
listeners.tcp.local = {host}:{ports["rabbitmq"]}
management.tcp.ip = {host}
management.tcp.port = {ports["rabbitmq-management"]}
prometheus.tcp.ip = {host}
prometheus.tcp.port = {ports["rabbitmq-prometheus"]}

# The node's first user; `guest` never exists.
default_user = {ADMINISTRATOR}
default_pass = {password}
default_user_tags.administrator = true
default_vhost = {VHOST}
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*

# A quarter of the memory up to 2 GiB: the broker stops publishers long before the machine swaps.
vm_memory_high_watermark.absolute = {memory_mib}MiB
# The default of 50 MB is gone within a second of a flood.
disk_free_limit.absolute = 1GB

# One log of all quorum queues, flushed together; rolled over at 64 MiB so that its memory table stays small.
raft.wal_max_size_bytes = 67108864
# Small messages: more of them to a segment file, fewer files.
raft.segment_max_entries = 32768

# Figures come from the Prometheus endpoint; the management's own collector costs processor time for nothing.
management_agent.disable_metrics_collector = true
# Batches are acknowledged together: do not wait to fill a packet.
tcp_listen_options.nodelay = true
tcp_listen_options.backlog = 1024
heartbeat = 30
log.console = true
log.console.level = info
log.file = false
{lines}"""


def node_name(ports: Mapping[str, int]) -> str:
    return f"commdesk-{ports['rabbitmq']}@localhost"


def environment(home: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """Everything that rabbitmq-server would otherwise look up in the machine's own places."""
    return {
        "HOME": str(home),  # where Erlang looks for the cookie
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": node_name(ports),
        "RABBITMQ_CONF_ENV_FILE": str(home / "environment.conf"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "data" / "feature_flags"),
        "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_DIST_PORT": str(ports["rabbitmq-distribution"]),
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP_SECONDS": "0",  # a dump of a full broker is gigabytes
        # Becomes the Erlang process itself instead of a shell in front of it: signals and exit codes are the broker's.
        "RABBITMQ_ALLOW_INPUT": "true",
        "RABBITMQ_SERVER_START_ARGS": "-noinput",
        # The runtime assumes that it owns its cores; here everything shares two: no busy waiting, no binding to cores.
        "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }


def prepare(
    *,
    engines: Path,
    ports: Mapping[str, Mapping[str, int]],
    password: str,
    cookie: str,
    issue: Issue | None = None,
) -> list[Process]:
    """Write the configuration of each node, whose process *ports* names; epmd and the nodes, in their order."""
    cluster = [node_name(own) for own in ports.values()] if len(ports) > 1 else []
    nodes = [
        _node(engines, name, own, password=password, cookie=cookie, issue=issue, cluster=cluster)
        for name, own in ports.items()
    ]
    first = next(iter(ports.values()))
    epmd = Process(
        name="epmd",
        command=("epmd", "-port", str(first["epmd"]), "-address", "127.0.0.1"),
        environment={"HOME": str(nodes[0].directory)},
        user=nodes[0].user,
        directory=nodes[0].directory,
        stop_signal="KILL",  # it holds nothing, and takes its time over TERM
    )
    return [epmd, *nodes]


def _node(
    engines: Path,
    name: str,
    ports: Mapping[str, int],
    *,
    password: str,
    cookie: str,
    issue: Issue | None,
    cluster: Sequence[str],
) -> Process:
    if not SERVER.is_file():
        raise FileNotFoundError(f"{SERVER} is missing: run `make install`")
    user = account("rabbitmq")
    home = private_folder(engines / name, user)
    for folder in ("data", "log", "conf.d", "schema", "generated"):
        private_folder(home / folder, user)
    memory, tls = psutil.virtual_memory().total, issue(home, user) if issue else None
    config = broker_config(ports, password=password, memory_bytes=memory, tls=tls, cluster=cluster)
    write_private(home / "rabbitmq.conf", config, user)
    write_private(home / "advanced.config", ADVANCED_CONFIG, user)
    write_private(home / "enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n", user)
    write_private(home / "environment.conf", "", user)
    write_private(home / ".erlang.cookie", cookie, user, mode=0o400)
    return Process(
        name=name,
        command=(str(SERVER),),
        environment=environment(home, ports),
        user=user,
        directory=home,
        stop_wait_seconds=60,
    )


# Counters of what left a queue by itself and of what has arrived since, of queues that do so at least once.
_LEFT = re.compile(
    r"^rabbitmq_global_messages_dead_lettered_(expired|rejected|delivery_limit)_total"
    r'{[^}]*dead_letter_strategy="at_least_once"[^}]*} ([0-9.e+]+)$',
    re.MULTILINE,
)
_ARRIVED = re.compile(r"^rabbitmq_global_messages_dead_lettered_confirmed_total{[^}]*} ([0-9.e+]+)$", re.MULTILINE)


async def dead_letters_in_flight(metrics_url: str) -> int:
    """How many messages have expired or were given up and have not arrived where they go.

    No queue counts them: a retry tier whose home queue is away looks empty. After a restart of the broker what was in
    flight then is not seen. Raises aiohttp.ClientError.
    """
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as http,
        http.get(metrics_url) as response,
    ):
        text = await response.text()
    left = sum(float(value) for _, value in _LEFT.findall(text))
    arrived = sum(float(value) for value in _ARRIVED.findall(text))
    return max(0, int(left - arrived))


def answers(ports: Mapping[str, int], *, password: str, nodes: int = 1) -> bool:
    """Whether the node speaks AMQP, its management API finds no alarm, and the cluster has all its *nodes*."""
    management = ports["rabbitmq-management"]
    return (
        _speaks_amqp(ports["rabbitmq"])
        and _get(management, "health/checks/alarms", password) is not None
        and (nodes == 1 or _running_nodes(management, password) == nodes)
    )


def _running_nodes(port: int, password: str) -> int:
    found = _get(port, "nodes?columns=name,running", password)
    return sum(bool(each.get("running")) for each in json.loads(found)) if found else 0


def _speaks_amqp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: connection.start
    except OSError:
        return False


def _get(port: int, path: str, password: str) -> bytes | None:
    """What the management API answers with 200, else None."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/{path}")
    login = base64.b64encode(f"{ADMINISTRATOR}:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            body: bytes = reply.read()
            return body if reply.status == 200 else None
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None
