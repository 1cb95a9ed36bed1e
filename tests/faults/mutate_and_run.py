"""`python -m tests.faults.mutate_and_run <mutation> <service>`: a service with a mutation, or with a point to die at.

The product has no switch for any of this. What is changed is changed here, in the process that is started, before the
service's own `main` runs.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from common.services import SERVICES
from ops.processes import MARK
from tests.faults.mutations import GUARDS

# The first so many times nothing happens, so that the point is reached in the middle of things.
SPARED = 3


def crash_marker(run_dir: Path, point: str) -> Path:
    """Written by the process that dies at *point*; the one that follows it lives."""
    return run_dir / f"died-{point}"


class _Death:
    """Ends the process at the fourth call, unless an earlier process died of it."""

    def __init__(self, point: str) -> None:
        self._note = crash_marker(Path(os.environ[MARK]), point)
        self._calls = 0

    def __call__(self) -> None:
        self._calls += 1
        if self._calls > SPARED and not self._note.exists():
            self._note.touch()
            os._exit(137)


def _before(owner: Any, name: str, act: Callable[[], None], when: Callable[..., Any] = lambda *_: True) -> None:
    """Have *act* run before each call of `owner.name` for whose arguments *when* holds."""
    real = getattr(owner, name)

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            act()
        return await real(*args, **kwargs)

    setattr(owner, name, wrapped)


def die_before_ack() -> None:
    from aiormq.channel import Channel

    _before(Channel, "basic_ack", _Death("die-before-ack"))


def die_before_mark() -> None:
    from common.relay import Relay

    _before(Relay, "mark", _Death("die-before-mark"), lambda relay: bool(relay._confirmed))


def die_before_answer() -> None:
    """After the transaction that completed an idempotency key."""
    from common import idempotency
    from common.database import Database

    die, real_complete, real_begin = _Death("die-before-answer"), idempotency.complete, Database.begin
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

    idempotency.complete = complete
    Database.begin = begin  # type: ignore[method-assign]


def die_inside_batch() -> None:
    commands = importlib.import_module("wallet.store.commands")
    _before(commands, "_save_wallets", _Death("die-inside-batch"))


MUTATIONS_AND_CRASHES: dict[str, Callable[[], None]] = {
    act.__name__.replace("_", "-"): act
    for act in (
        die_before_ack,
        die_before_mark,
        die_before_answer,
        die_inside_batch,
        *GUARDS,
    )
}


def main() -> None:
    what, service = sys.argv[1:]
    MUTATIONS_AND_CRASHES[what]()
    sys.argv = [service, "serve"]
    importlib.import_module(f"{SERVICES[service].package}.__main__").main()


if __name__ == "__main__":
    main()
