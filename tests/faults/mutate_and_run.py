"""`python -m tests.faults.mutate_and_run <service>`: a service without one of its guards, or with a point to die at.

The guards are the product's own (`common.guards`); the service is built as its `main` builds it, but for the guard that
is taken away. Points to die at and windows are changes of this process, made before the service is built.
"""

import argparse
import importlib
import os
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from common import guards, runtime
from common.guards import Guards
from common.services import SERVICES
from ops.processes import MARK
from tests.faults.mutations import WINDOWS

# The first so many times nothing happens, so that the point is reached in the middle of things.
SPARED = 3


def crash_marker(run_dir: Path, point: str) -> Path:
    """Written by the process that dies at *point*; the one that follows it lives."""
    return run_dir / f"died-{point}"


class Death:
    """Ends the process at the fourth call, unless an earlier process died of it."""

    def __init__(self, point: str) -> None:
        self._marker = crash_marker(Path(os.environ[MARK]), point)
        self._calls = 0

    def __call__(self) -> None:
        self._calls += 1
        if self._calls > SPARED and not self._marker.exists():
            self._marker.touch()
            os._exit(137)


def die_before_ack() -> None:
    from aiormq.channel import Channel

    channel: Any = Channel
    die, real_ack = Death("die-before-ack"), channel.basic_ack

    async def basic_ack(self: Channel, *args: Any, **kwargs: Any) -> Any:
        die()
        return await real_ack(self, *args, **kwargs)

    channel.basic_ack = basic_ack


def die_before_mark() -> None:
    """After the broker confirmed something that is not marked yet."""
    from common.broker import Publisher, Receipt
    from common.relay import Relay

    publisher: Any = Publisher
    relay: Any = Relay
    die, real_publish, real_mark = Death("die-before-mark"), publisher.publish, relay.mark
    unmarked: list[Any] = []

    async def publish(self: Publisher, rows: Sequence[Any]) -> Receipt:
        receipt: Receipt = await real_publish(self, rows)
        unmarked.extend(receipt.confirmed)
        return receipt

    async def mark(self: Relay) -> Any:
        if unmarked:
            unmarked.clear()
            die()
        return await real_mark(self)

    publisher.publish, relay.mark = publish, mark


def die_before_answer() -> None:
    """After the transaction that completed an idempotency key."""
    from common import idempotency
    from common.database import Database

    database: Any = Database
    keys: Any = idempotency
    die, real_complete, real_begin = Death("die-before-answer"), keys.complete, database.begin
    completing: set[int] = set()

    async def complete(tx: Any, completions: Sequence[Any]) -> None:
        completing.add(id(tx))
        await real_complete(tx, completions)

    @asynccontextmanager
    async def begin(self: Database) -> Any:
        async with real_begin(self) as tx:
            yield tx
        if id(tx) in completing:
            completing.discard(id(tx))
            die()

    keys.complete, database.begin = complete, begin


def die_inside_batch() -> None:
    """With the wallets of a batch saved, and their transaction open."""
    commands: Any = importlib.import_module("wallet.store.commands")
    die, real_save = Death("die-inside-batch"), commands.save

    async def save(*args: Any, **kwargs: Any) -> Any:
        saved = await real_save(*args, **kwargs)
        die()
        return saved

    commands.save = save


CRASHES: dict[str, Callable[[], None]] = {
    crash.__name__.replace("_", "-"): crash
    for crash in (die_before_ack, die_before_answer, die_before_mark, die_inside_batch)
}


def arguments(service: str, *, without: str = "", window: str = "", crash: str = "") -> tuple[str, ...]:
    """What Python is called with to run *service* so."""
    options = (("--without", without), ("--window", window), ("--crash", crash))
    chosen = [f"{option}={value}" for option, value in options if value]
    return ("-m", "tests.faults.mutate_and_run", service, *chosen)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutate_and_run")
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--without", choices=[guard.name for guard in guards.ALL])
    parser.add_argument("--window", choices=WINDOWS)
    parser.add_argument("--crash", choices=CRASHES)
    chosen = parser.parse_args()
    in_place = Guards.all().without(guards.named(chosen.without)) if chosen.without else Guards.all()
    for change in (WINDOWS.get(chosen.window), CRASHES.get(chosen.crash)):
        if change is not None:
            change()
    module = importlib.import_module(f"{SERVICES[chosen.service].package}.__main__")
    runtime.main(chosen.service, module.Settings, module.service, ["serve"], guards=in_place)


if __name__ == "__main__":
    main()
