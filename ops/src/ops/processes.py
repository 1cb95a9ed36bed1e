"""A process of the stack as data, and its configuration for supervisord."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

# Every process of a stack carries this variable with the stack's folder, so that `down` also finds orphans.
MARK = "COMMDESK_RUN_DIR"

RPC_FACTORY = "supervisor.rpcinterface:make_main_rpcinterface"


class Process(Struct, frozen=True):
    """One supervised process; its environment is complete, nothing is inherited but PATH, HOME and the locale."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = {}
    user: str | None = None
    """The account it runs as; None = as the one who starts the stack."""
    directory: Path = Path("/")
    stop_signal: str = "TERM"
    stop_wait_seconds: int = 20
    """How long it may take to stop before it is killed."""
    nice: int = 0
    """How far it steps back for the others when processor time is short; 0 to 19."""


def start_script(process: Process, run_dir: Path) -> str:
    """A shell script that sets the environment and becomes the process: supervisord's own syntax cannot quote JSON."""
    variables = {MARK: str(run_dir), **process.environment}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    command = ("nice", "-n", str(process.nice), *process.command) if process.nice else process.command
    return "\n".join(["#!/bin/sh", *exports, f"exec {shlex.join(command)}", ""])


def supervisor_config(
    processes: Iterable[Process], *, run_dir: Path, engines: Path, as_root: bool, files_max: int
) -> str:
    """The whole supervisord.conf. Nothing starts by itself: `up` starts things in their order."""
    sections = [
        f"[unix_http_server]\nfile={_escaped(engines / 'supervisor.sock')}\nchmod=0700\n",
        "\n".join(
            [
                "[supervisord]",
                f"logfile={_escaped(run_dir / 'logs' / 'supervisord.log')}",
                "logfile_maxbytes=5MB",
                "logfile_backups=1",
                f"pidfile={_escaped(run_dir / 'supervisord.pid')}",
                f"childlogdir={_escaped(run_dir / 'logs')}",
                # The broker and the edge want many sockets; this is the limit that all of them inherit.
                f"minfds={files_max}",
                # Logs hold addresses and ids: only their owner and its group may read them.
                "umask=027",
                *(["user=root"] if as_root else []),
                "",
            ]
        ),
        f"[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory={RPC_FACTORY}\n",
        f"[supervisorctl]\nserverurl=unix://{_escaped(engines / 'supervisor.sock')}\n",
        *(_program(process, run_dir, engines) for process in processes),
    ]
    return "\n".join(sections)


def start_script_path(engines: Path, name: str) -> Path:
    return engines / "start" / name


def _program(process: Process, run_dir: Path, engines: Path) -> str:
    lines = [
        f"[program:{process.name}]",
        f"command={_escaped(start_script_path(engines, process.name))}",
        f"directory={_escaped(process.directory)}",
        "autostart=false",
        "autorestart=true",
        "startsecs=1",
        # A restart waits one second longer each time, and gives up only after more than an hour of trying.
        "startretries=100",
        f"stopsignal={process.stop_signal}",
        f"stopwaitsecs={process.stop_wait_seconds}",
        # What has to be killed takes its children along, so that no port stays open.
        "killasgroup=true",
        "redirect_stderr=true",
        f"stdout_logfile={_escaped(run_dir / 'logs' / (process.name + '.log'))}",
        "stdout_logfile_maxbytes=20MB",
        "stdout_logfile_backups=1",
    ]
    if process.user is not None:
        lines.append(f"user={process.user}")
    return "\n".join([*lines, ""])


def _escaped(value: Path) -> str:
    return str(value).replace("%", "%%")
