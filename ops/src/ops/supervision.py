"""supervisord, in the virtual environment: start it, ask it, end it."""

import http.client
import os
import resource
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct
from supervisor.xmlrpc import Faults, SupervisorTransport

from ops.private_files import private_folder, write_private
from ops.processes import MARK, Process, start_script, start_script_path, supervisor_config

FILES_WANTED = 65536

# What a broken or absent supervisord makes of a call.
GONE = (OSError, http.client.HTTPException)


class State(Struct, frozen=True):
    """A process as supervisord sees it."""

    name: str
    state: str
    """STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL UNKNOWN"""
    pid: int
    up_seconds: int
    reason: str


class Supervisor:
    """The supervisord of one stack, reached over its unix socket."""

    def __init__(self, run_dir: Path, engines: Path) -> None:
        self._run_dir = run_dir
        self._engines = engines

    @property
    def _rpc(self) -> Any:
        """A fresh connection for every call: the transport never recovers from one that failed."""
        transport = SupervisorTransport(None, None, f"unix://{self._engines / 'supervisor.sock'}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def alive(self) -> bool:
        try:
            self._rpc.getPID()
        except GONE:
            return False
        return True

    def pid(self) -> int:
        """The daemon's own."""
        return int(self._rpc.getPID())

    def configure(self, processes: Iterable[Process]) -> set[str]:
        """Write everything that supervisord needs; the names of processes whose command or environment changed."""
        processes = list(processes)
        self._run_dir.joinpath("logs").mkdir(parents=True, exist_ok=True)
        private_folder(self._engines / "start", mode=0o711)
        changed = {
            process.name
            for process in processes
            if write_private(
                start_script_path(self._engines, process.name),
                start_script(process, self._run_dir),
                process.user,
                0o500,
            )
        }
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        config = supervisor_config(
            processes,
            run_dir=self._run_dir,
            engines=self._engines,
            as_root=os.geteuid() == 0,
            files_max=FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard),
        )
        write_private(self._run_dir / "supervisord.conf", config)
        return changed

    def launch(self) -> None:
        """Start the daemon with a clean environment, and wait until it answers; raises TimeoutError."""
        environment = {
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin"]
            ),
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            MARK: str(self._run_dir),
        }
        config = self._run_dir / "supervisord.conf"
        # It opens its own log before it sets its umask.
        self._run_dir.joinpath("logs", "supervisord.log").touch(mode=0o640)
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
            env=environment,
            cwd="/",
            check=True,
            stdin=subprocess.DEVNULL,
        )
        _wait(self.alive, timeout_seconds=15, what="supervisord")

    def reload(self) -> None:
        """Take in a changed configuration: new processes are added, changed ones stopped and added again.

        Those that it no longer has are stopped and removed.
        """
        [[added, changed, removed]] = self._rpc.reloadConfig()
        for name in (*changed, *removed):
            self.stop(name)
            self._rpc.removeProcessGroup(name)
        for name in (*added, *changed):
            self._rpc.addProcessGroup(name)

    def start(self, name: str, *, wait: bool = False) -> None:
        """Start `name`; with `wait`, until it has stayed up for a second. Started already is fine."""
        try:
            self._rpc.startProcess(name, wait)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise

    def stop(self, *names: str) -> None:
        """Stop `names` together and wait until they are gone. Stopped already is fine."""
        for name in names:
            try:
                self._rpc.stopProcess(name, False)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != Faults.NOT_RUNNING:
                    raise
        stopped = set(names)
        _wait(
            lambda: not any(state.pid for state in self.states() if state.name in stopped),
            timeout_seconds=90,
            what=f"{', '.join(names)} to stop",
        )

    def states(self) -> list[State]:
        return [
            State(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                up_seconds=info["now"] - info["start"] if info["pid"] else 0,
                reason=info["spawnerr"],
            )
            for info in self._rpc.getAllProcessInfo()
        ]

    def shutdown(self) -> None:
        """End the daemon itself, and with it whatever still runs."""
        pid = self.pid()
        self._rpc.shutdown()
        try:
            psutil.Process(pid).wait(timeout=90)
        except psutil.NoSuchProcess:
            pass


def end_orphans(run_dir: Path, timeout_seconds: float = 20) -> list[str]:
    """End what a killed supervisord left behind. Returns the process ids."""
    engines = (run_dir / "engines").resolve()
    orphans = [process for process in psutil.process_iter() if _belongs(process, run_dir, engines)]
    for process in orphans:
        _signal(process.terminate)
    _, stubborn = psutil.wait_procs(orphans, timeout=timeout_seconds)
    for process in stubborn:
        _signal(process.kill)
    psutil.wait_procs(stubborn, timeout=5)
    return [str(process.pid) for process in orphans]


def _belongs(process: psutil.Process, run_dir: Path, engines: Path) -> bool:
    """Whether a process carries this stack's mark, or is an engine that wrote its title over its environment."""
    if process.pid == os.getpid():
        return False
    try:
        if process.environ().get(MARK) == str(run_dir):
            return True
        folder = Path(process.cwd())
    except (psutil.Error, OSError):
        return False
    # A person's shell may stand in that folder; an engine has no terminal.
    return folder.is_relative_to(engines) and process.terminal() is None


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.Error:
        pass


def _wait(condition: Callable[[], bool], *, timeout_seconds: float, what: str) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_seconds:.0f} s for {what}")
        time.sleep(0.05)
