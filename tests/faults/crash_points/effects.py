"""`python -m tests.faults.crash_points.effects <service>`: a service that counts its effects and dies after one.

An effect is what leaves the process: a commit that changed something, a message that the broker has been sent, its
confirm, an acknowledgement, an answer, a call to another service, to a gateway, to Redis or to a mail server. They are
counted where the libraries hand them over; the product knows nothing of it. Before and after an effect the world is
the same but for that effect, so dying after each of them is dying everywhere.
"""

import asyncio
import importlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.services import SERVICES
from ops.processes import MARK

# uvloop writes at the end of a turn: what was handed over has left the process by then.
GONE_SECONDS = 0.002
_WRITES = re.compile(r"(?<!for )(?<!key )\b(?:insert into|update|delete from)\s+(?!skip\b|of\b)([a-z_]+)", re.I)
_ID = re.compile(r"(?<=[_/-])[0-9A-Za-z_-]{16,}")
_OPERATIONAL = ("/health", "/metrics", "/.well-known")


@dataclass(frozen=True)
class Plan:
    """What the process with this pid is to do: note its effects, and die of the one that is named."""

    pid: int = 0
    after: str = ""
    """`what#number`, the number counting effects that are called the same; empty = of none."""
    again: int = 0
    """The process that follows it notes them too, and dies after so many."""


def plan_file(run_dir: Path, service: str) -> Path:
    return run_dir / f"crash-{service}.json"


def log_file(run_dir: Path, service: str) -> Path:
    """One line for each effect: the pid, and `what#number`."""
    return run_dir / f"effects-{service}.log"


class Counter:
    """Notes effects while the plan is for this process; the plan is looked up at each of them."""

    def __init__(self, run_dir: Path, service: str) -> None:
        self._plan_file, self._log_file = plan_file(run_dir, service), log_file(run_dir, service)
        self._changed = 0
        self._plan: Plan | None = None
        self._seen: list[str] = []

    def happened(self, what: str) -> None:
        """Note an effect; end the process if it is the one."""
        self._look()
        if self._plan is None:
            return
        self._seen.append(what)
        named = f"{what}#{self._seen.count(what)}"
        with self._log_file.open("a") as log:
            log.write(f"{os.getpid()} {named}\n")
        is_first = self._plan.pid == os.getpid()
        if named == self._plan.after if is_first else len(self._seen) == self._plan.again:
            if not is_first:
                self._plan_file.unlink(missing_ok=True)  # the one after it lives
            os.kill(os.getpid(), signal.SIGKILL)

    def soon(self, what: str) -> None:
        """Note an effect that is on its way out."""
        asyncio.get_running_loop().call_later(GONE_SECONDS, self.happened, what)

    def _look(self) -> None:
        try:
            changed = self._plan_file.stat().st_mtime_ns
        except FileNotFoundError:
            self._plan = None
            return
        if changed == self._changed:
            return
        plan = Plan(**json.loads(self._plan_file.read_text()))
        self._changed, self._seen = changed, []
        self._plan = plan if plan.again or plan.pid == os.getpid() else None


def arm(run_dir: Path, service: str, plan: Plan) -> None:
    """Have the plan carried out from now on; what was counted before is forgotten."""
    log_file(run_dir, service).write_text("")
    made = plan_file(run_dir, service).with_suffix(".new")
    made.write_text(json.dumps(asdict(plan)))
    made.replace(plan_file(run_dir, service))


def disarm(run_dir: Path, service: str) -> None:
    plan_file(run_dir, service).unlink(missing_ok=True)


def counted(run_dir: Path, service: str) -> list[tuple[int, str]]:
    """The effects since `arm`: the pid and `what#number`."""
    lines = log_file(run_dir, service).read_text().splitlines()
    return [(int(pid), named) for pid, named in (line.split(" ", 1) for line in lines)]


def _after(owner: Any, name: str, note: Callable[[str], None], what: Callable[..., str]) -> None:
    """Have an effect noted after each call of `owner.name`; *what* says which from its arguments, or nothing."""
    real = getattr(owner, name)

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await real(*args, **kwargs)
        if said := what(*args, **kwargs):
            note(said)
        return result

    setattr(owner, name, wrapped)


def watch_database(counter: Counter) -> None:
    """Commits that changed something, by the tables that were written."""
    from asyncpg import Connection

    from common.database import Engine

    written: dict[int, list[str]] = {}
    driver: Any = Connection
    engine: Any = Engine
    real_fetch, real_copy, real_begin = driver.fetch, driver.copy_records_to_table, engine.begin

    async def fetch(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        table = _WRITES.search(query)
        if table is None:
            return await real_fetch(self, query, *args, **kwargs)
        if not self.is_in_transaction():
            return await alone(self, table[1], query, args, **kwargs)
        written.setdefault(id(self), []).append(table[1])
        return await real_fetch(self, query, *args, **kwargs)

    async def alone(
        self: Any, table: str, query: str, args: Any, *, timeout: float | None = None, record_class: Any = None
    ) -> Any:
        """A statement that PostgreSQL commits by itself: what `fetch` does, and how many rows it changed."""
        statement = await self.prepare(query, timeout=timeout, record_class=record_class)
        rows = await statement.fetch(*args, timeout=timeout)
        if not statement.get_statusmsg().endswith(" 0"):
            counter.happened(f"commit {table}")
        return rows

    async def copy(self: Any, table: str, **kwargs: Any) -> Any:
        written.setdefault(id(self), []).append(table)
        return await real_copy(self, table, **kwargs)

    @asynccontextmanager
    async def begin(self: Any) -> AsyncIterator[Any]:
        tables: list[str] = []
        changed = False
        async with real_begin(self) as connection:
            written.pop(id(connection.driver), None)
            yield connection
            tables = list(dict.fromkeys(written.pop(id(connection.driver), [])))
            # A transaction without an id of its own has changed nothing and locked nothing.
            changed = bool(tables) and await connection.driver.fetchval(
                "select pg_current_xact_id_if_assigned() is not null"
            )
        if changed:
            counter.happened("commit " + ", ".join(tables))

    driver.fetch, driver.copy_records_to_table, engine.begin = fetch, copy, begin


def watch_broker(counter: Counter) -> None:
    from aiormq.abc import ChannelFrame
    from aiormq.channel import Channel
    from pamqp.commands import Basic

    frames_of: Any = ChannelFrame
    channel: Any = Channel
    real_marshall, real_publish = frames_of.marshall, channel.basic_publish

    def marshall(_: Any, frames: Any, channel_number: Any, drain_future: Any = None) -> Any:
        """Packs frames, and says when those of a message have been sent."""
        if drain_future is not None and isinstance(frames[0], Basic.Publish):
            key = frames[0].routing_key
            drain_future.add_done_callback(lambda sent: None if sent.cancelled() else counter.soon(f"sent {key}"))
        return real_marshall(frames=frames, channel_number=channel_number, drain_future=drain_future)

    async def basic_publish(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await real_publish(self, *args, **kwargs)
        counter.happened(f"confirmed {kwargs.get('routing_key', '')}")
        return answer

    frames_of.marshall = classmethod(marshall)
    channel.basic_publish = basic_publish
    _after(channel, "basic_ack", counter.soon, lambda *_, **__: "ack")


def watch_calls(counter: Counter) -> None:
    """What the process asks of others: HTTP, gRPC, Redis."""
    import grpc.aio
    from redis.asyncio.client import Pipeline, Redis

    from gateways.client import GatewayClient

    channels: Any = grpc.aio
    real_channel = channels.insecure_channel

    class Counting(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
        async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            call = await continuation(details, request)
            method = details.method.decode() if isinstance(details.method, bytes) else str(details.method)
            call.add_done_callback(lambda _: counter.happened(f"called {method.rpartition('.')[2]}"))
            return call

    def channel(address: str, **kwargs: Any) -> Any:
        return real_channel(address, **kwargs, interceptors=[Counting()])

    channels.insecure_channel = channel
    _after(
        GatewayClient,
        "send",
        counter.happened,
        lambda _, request, *__, **___: f"asked {request.method} {_ID.sub('…', request.path)}",
    )
    _after(
        Redis,
        "execute_command",
        counter.happened,
        # A health check changes nothing.
        lambda _, *words, **__: "" if words[0] == "PING" else f"redis {words[0]}",
    )
    _after(Pipeline, "execute", counter.happened, lambda *_, **__: "redis pipeline")


def watch_mails(counter: Counter) -> None:
    smtp: Any = importlib.import_module("notifier.gateways.smtp")
    _after(smtp.Connection, "deliver", counter.happened, lambda *_, **__: "mail taken")


def watch_answers(counter: Counter) -> None:
    """What the process answers to those who ask it."""
    import grpc
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    def answered(cycle: Any, message: Any) -> str:
        path = cycle.scope["path"]
        if message["type"] != "http.response.body" or message.get("more_body") or path.startswith(_OPERATIONAL):
            return ""
        return f"answered {cycle.scope['method']} {_ID.sub('…', path)}"

    _after(RequestResponseCycle, "send", counter.soon, answered)
    real = grpc.unary_unary_rpc_method_handler

    def handler(behavior: Any, *args: Any, **kwargs: Any) -> Any:
        if behavior.__name__ == "__call__":
            # A servicer's method in the guard's wrapping: counted already.
            return real(behavior, *args, **kwargs)

        async def served(request: Any, call: Any) -> Any:
            answer = await behavior(request, call)
            counter.soon(f"answered {behavior.__name__}")
            return answer

        return real(served, *args, **kwargs)

    grpc.unary_unary_rpc_method_handler = handler


def main() -> None:
    [service] = sys.argv[1:]
    counter = Counter(Path(os.environ[MARK]), service)
    for watch in (watch_database, watch_broker, watch_calls, watch_answers):
        watch(counter)
    if service == "notifier":
        watch_mails(counter)
    sys.argv = [service, "serve"]
    importlib.import_module(f"{SERVICES[service].package}.__main__").main()


if __name__ == "__main__":
    main()
