"""The test environment: a fleet of its own whose services reach the engines and the gateway through fault proxies."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import psutil
from msgspec.structs import replace

from common.services import SERVICES
from ops import edge, fleet, fleet_client, invariants, rabbitmq, readiness, stack, virtual_users
from ops.fleet_client import FleetClient
from ops.journey import Member
from ops.ports import PORT_OFFSETS, ROOT, Layout
from ops.processes import MARK, Process
from ops.progress import Progress
from ops.supervision import State
from tests.faults.history import History
from tests.faults.proxy import NORMAL, FaultProxy, NetworkConditions
from tests.faults.resources import Holding, held
from tests.faults.retry import retry

# What services reach through a proxy, and where that proxy listens, from the port base.
PROXY_OFFSETS = {"postgresql": 60, "rabbitmq": 61, "redis": 62, "sandbox": 63}
# A second process of a service listens here: HTTP, then gRPC.
REPLICA_OFFSET = 70
SPENDERS = 8
# Where a process that runs under a command of the harness finds it.
HARNESS_PATH = {"PYTHONPATH": str(ROOT)}

# Ladders and sweeps that a scenario can wait for; everything else is as in production.
SETTINGS = {
    "RETRY_SCHEDULE_MS": "1000,3000,9000,20000",
    "TEST_PROCESSING_DELAY": "50",
    # The customers of these runs pay at the default gateway: its faults are to be survived there.
    "CIRCUIT_FAILURES": "1000",
    "SWEEP_AFTER_SECONDS": "5",
    "SWEEP_LONGEST_SECONDS": "20",
    "CLOSED_CHECK_SECONDS": "2,4,8",
    "SANDBOX_WEBHOOK_RETRY_MS": "500,1000,2000,4000,8000,8000",
}


# The numbers of a scenario's own rules at the gateway; each of two that run at once is a task with a list of its own.
_RULES: ContextVar[tuple[int, ...]] = ContextVar("rules", default=())


def forget_rules() -> None:
    """Begin a scenario without rules of its own."""
    _RULES.set(())


class _Quiet(Progress):
    def _print(self, sign: str, what: str) -> None:
        if sign == "!!":
            super()._print(sign, what)


QUIET_STEPS = _Quiet()


@dataclass
class Environment:
    """What a scenario may touch."""

    layout: Layout
    fleet: FleetClient
    proxies: dict[str, FaultProxy]
    progress: Progress
    spenders: list[Member] = field(default_factory=list)
    history: History = field(default_factory=History)
    """Of the scenario that runs, as are the complaints."""
    complaints: list[str] = field(default_factory=list)
    deadlocks: int = 0
    """What PostgreSQL had resolved when it was last asked."""
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Services that run under another command line than their own."""
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    """What processes were given beyond their own environment."""
    refusals: set[int] = field(default_factory=set)
    """HTTP statuses that are right for as long as the fault lasts: the load asks again."""
    orders_of_others: int = 0
    """Made at the gateway by scenarios, without us."""
    baseline: dict[str, Holding] = field(default_factory=dict)
    """What each service held after the first few payments."""

    def expect(self, holds: object, what: str) -> None:
        """Complain that *what* should be, unless it holds."""
        if not holds:
            self.complaints.append(f"expected: {what}")

    @property
    def stack(self) -> stack.Stack:
        return stack.Stack(self.layout)

    @asynccontextmanager
    async def db(self) -> AsyncIterator[asyncpg.Connection]:
        """A superuser's connection, past the proxy; waits for a database that is away."""
        known = self.fleet.description["postgresql"]
        names = ("host", "port", "user", "password", "database")
        connection: asyncpg.Connection = await retry(
            lambda: asyncpg.connect(**{name: known[name] for name in names}, timeout=5)
        )
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def broker(self, user: str = "") -> AsyncIterator[aio_pika.abc.AbstractChannel]:
        """A channel of the administrator's, or of a *user* of the contract, past the proxy; waits for a broker that
        is away."""
        known = self.fleet.description["rabbitmq"]
        url = known["urls"][user] if user else known["url"]
        connection = await retry(lambda: aio_pika.connect(url, timeout=5))
        async with connection:
            yield await connection.channel()

    @contextmanager
    def conditions(self, name: str, conditions: NetworkConditions) -> Iterator[None]:
        """Bad conditions between the services and `name` while the block lasts."""
        self.proxies[name].conditions = conditions
        try:
            yield
        finally:
            self.proxies[name].conditions = NORMAL

    def state(self, name: str) -> State:
        return next(state for state in self.stack.supervisor.states() if state.name == name)

    async def holding(self) -> dict[str, Holding]:
        """What each service holds now."""
        states = await asyncio.to_thread(self.stack.supervisor.states)
        return held({state.name: state.pid for state in states if state.name in SERVICES})

    async def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and to what it started."""
        pid = (await asyncio.to_thread(self.state, name)).pid
        if pid:
            with suppress(psutil.NoSuchProcess):
                for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                    process.send_signal(number)

    async def kill(self, name: str) -> None:
        """SIGKILL; the supervisor starts it again."""
        await self.signal(name, signal.SIGKILL)

    async def stop(self, *names: str) -> None:
        await asyncio.to_thread(self.stack.supervisor.stop, *names)

    async def start(self, name: str) -> None:
        """Start and wait until it does its work."""
        await asyncio.to_thread(self.stack.supervisor.start, name)
        await self.until_ready(name)

    async def until_ready(self, name: str, seconds: float = 60.0) -> None:
        """Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while not await asyncio.to_thread(readiness.is_ready, self.stack.layout, self.stack.credentials, name):
            if time.monotonic() > ends:
                raise TimeoutError(f"{name} is not ready after {seconds:.0f} s")
            await asyncio.sleep(0.2)

    async def command(self, name: str, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        """Have a process run under another command line, `python <arguments>`, or with more in its environment.

        Without either it runs as ever again.
        """
        self.variables[name] = dict(variables or {})
        await self.run_under({name: arguments})

    async def run_under(self, commands: Mapping[str, tuple[str, ...]]) -> None:
        """The same for several at once."""
        await asyncio.to_thread(self._run_under, commands)
        for name in commands:
            await self.until_ready(name)

    def _run_under(self, commands: Mapping[str, tuple[str, ...]]) -> None:
        self.commands = {name: words for name, words in (self.commands | dict(commands)).items() if words}
        known = self.stack
        processes = [self._as_told(each) for each in (*known.engine_processes(), *known.fleet_processes())]
        known.supervisor.stop(*commands)
        known.supervisor.configure(processes)
        for name in commands:
            known.supervisor.start(name)

    def _as_told(self, process: Process) -> Process:
        """With the command line and the environment that it was given last."""
        words = self.commands.get(process.name)
        command = (sys.executable, *words) if words else process.command
        harness = HARNESS_PATH if words else {}
        environment = {**process.environment, **harness, **self.variables.get(process.name, {})}
        return replace(process, command=command, environment=environment)

    @asynccontextmanager
    async def replica(self, name: str) -> AsyncIterator[None]:
        """A second process of a service, under the same command line, on ports of its own, while the block lasts."""
        http_port = self.layout.port_base + REPLICA_OFFSET
        environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
            **fleet.service_environment(self.layout, self.stack.credentials, name, os.environ),
            "HTTP_PORT": str(http_port),
            "GRPC_PORT": str(http_port + 1),
            MARK: str(self.layout.run_dir),
            **HARNESS_PATH,
        }
        arguments = self.commands.get(name, ("-m", SERVICES[name].package, "serve"))
        with (self.layout.logs / f"{name}-replica.log").open("w") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env=environment, cwd="/", stdout=log, stderr=log
            )
        try:
            for _ in range(300):
                if await asyncio.to_thread(edge.responds, f"http://127.0.0.1:{http_port}/health/ready"):
                    break
                await asyncio.sleep(0.1)
            yield
        finally:
            process.terminate()
            await process.wait()

    async def release(self, service: str) -> None:
        """End the leases of a service's work: nobody holds them any more, and nothing is shown by waiting for them."""
        schema = SERVICES[service].package
        async with self.db() as db:
            await db.execute(f"update {schema}.outbox set leased_until = null where published_at is null")
            await db.execute(f"update {schema}.intents set leased_until = null where done_at is null")
            await db.execute(f"update {schema}.idempotency_keys set leased_until = null where state = 'STARTED'")
            if service == "reconciler":
                await db.execute(
                    f"update {schema}.reconciliation_runs set leased_until = now() where status = 'RUNNING'"
                )

    async def rabbitmqctl(self, *arguments: str) -> None:
        """Run rabbitmqctl against the fleet's own broker, once it is there. Raises CalledProcessError."""
        home = self.stack.engines / "rabbitmq"
        ports = {name: self.layout.port(name) for name in PORT_OFFSETS}
        environment = {"PATH": os.environ["PATH"], **rabbitmq.environment(home, ports)}
        node = environment["RABBITMQ_NODENAME"]
        cookie = self.stack.credentials.words["erlang_cookie"]
        tool = rabbitmq.SERVER.with_name("rabbitmqctl")
        await retry(
            lambda: asyncio.to_thread(
                subprocess.run,
                [str(tool), "-n", node, "--erlang-cookie", cookie, "-q", *arguments],
                env=environment,
                check=True,
                capture_output=True,
                timeout=60,
            )
        )

    async def gateway(self, **rule: Any) -> None:
        """Put a rule of the sandbox in force, until `lift`."""
        number = await virtual_users.fault(self.fleet, **rule)
        _RULES.set((*_RULES.get(), number))

    async def lift(self) -> None:
        """Lift the rules of the scenario that asks, and of no other that runs beside it."""
        for number in _RULES.get():
            await self.fleet.sandbox("DELETE", f"/control/faults/{number}")
        forget_rules()

    async def heal(self) -> None:
        """Whatever a scenario left behind, gone."""
        for proxy in self.proxies.values():
            proxy.conditions = NORMAL
        await self.fleet.sandbox("DELETE", "/control/faults")
        for state in await asyncio.to_thread(self.stack.supervisor.states):
            if not state.pid:
                await asyncio.to_thread(self.stack.supervisor.start, state.name)
        for name in ("postgresql", "rabbitmq", "redis", "sandbox", *SERVICES):
            await self.until_ready(name)


@asynccontextmanager
async def open_environment(run_dir: Path, port_base: int, progress: Progress) -> AsyncIterator[Environment]:
    """Start the fleet behind proxies; take it down and delete it at the end, whatever happens."""
    os.environ.update(SETTINGS)
    detours = {name: port_base + offset for name, offset in PROXY_OFFSETS.items()}
    layout = Layout(run_dir, port_base, detours=detours)
    await asyncio.to_thread(stack.down, layout, wipe=True, progress=QUIET_STEPS)
    async with AsyncExitStack() as entered:
        proxies = {
            name: await entered.enter_async_context(FaultProxy(port, layout.port(name)))
            for name, port in detours.items()
        }
        try:
            progress.note("starting a fleet behind fault proxies")
            await asyncio.to_thread(stack.up, layout, engines_only=False, progress=QUIET_STEPS)
            progress.done("the fleet is up")
            async with fleet_client.connect(layout) as fleet:
                environment = Environment(layout, fleet, proxies, progress)
                environment.spenders = await _spenders(fleet)
                environment.baseline = await environment.holding()
                yield environment
        finally:
            await asyncio.to_thread(stack.down, layout, wipe=True, progress=QUIET_STEPS)
            progress.done("the fleet is down")


async def _spenders(fleet: FleetClient) -> list[Member]:
    """Members with credits in their wallets."""
    found = virtual_users.members(fleet, SPENDERS)
    for number, member in enumerate(found):
        created = await virtual_users.create_with_retries(fleet, member, f"spender-{number}-{member.user_id}")
        await virtual_users.pay_order(fleet, created.data["orderId"])
    await invariants.until_quiet(fleet.description, 60)
    return found
