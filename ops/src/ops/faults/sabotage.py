"""`python -m ops.faults.sabotage <what> <service>`: run a service without one of its guards, or with a point to die at.

The product has no switch for any of this. What is changed is changed here, in the process that is started, before the
service's own `main` runs.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ops.layout import snake
from ops.processes import MARK

# The first so many times nothing happens, so that the point is reached in the middle of things.
SPARED = 3
# An early ack is given so long before the work, to make the window as wide as a busy day makes it.
WINDOW_SECONDS = 1.0


def death_note(run_dir: Path, point: str) -> Path:
    """Written by the process that dies at *point*; the one that follows it lives."""
    return run_dir / f"died-{point}"


class _Death:
    """Ends the process at the fourth call, unless an earlier process died of it."""

    def __init__(self, point: str) -> None:
        self._note = death_note(Path(os.environ[MARK]), point)
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
    moving = importlib.import_module("wallet.store.moving")
    _before(moving, "_save_wallets", _Death("die-inside-batch"))


def no_inbox_claim() -> None:
    """Every delivery is new."""
    from common.handling import QueueHandler

    async def claim(self: QueueHandler, tx: Any, group: Sequence[Any]) -> set[Any]:
        return {delivery.envelope_id for delivery in group}

    QueueHandler._claim = claim  # type: ignore[method-assign]


def no_business_key() -> None:
    """The wallet neither looks a key up nor minds that it is taken."""
    store: Any
    moving: Any
    store, moving = importlib.import_module("wallet.store"), importlib.import_module("wallet.store.moving")

    async def done_before(tx: Any, keys: Any) -> dict[Any, Any]:
        return {}

    store.done_before = done_before
    moving.SAVE_KEYS += " on conflict do nothing"


def not_mandatory() -> None:
    """The broker takes what it cannot route, and says nothing."""
    from aiormq.channel import Channel

    real = Channel.basic_publish

    async def basic_publish(self: Channel, *args: Any, **kwargs: Any) -> Any:
        return await real(self, *args, **kwargs | {"mandatory": False})

    Channel.basic_publish = basic_publish  # type: ignore[method-assign]


def ack_before_commit() -> None:
    """The broker forgets what it delivers at once; the work comes afterwards."""
    from aiormq.channel import Channel

    from common.handling import QueueHandler

    real_consume, real_work = Channel.basic_consume, QueueHandler.work

    async def basic_consume(self: Channel, *args: Any, **kwargs: Any) -> Any:
        return await real_consume(self, *args, **kwargs | {"no_ack": True})

    async def basic_ack(self: Channel, *args: Any, **kwargs: Any) -> None:
        return None

    async def work(self: QueueHandler, deliveries: Sequence[Any]) -> None:
        await asyncio.sleep(WINDOW_SECONDS)
        await real_work(self, deliveries)

    Channel.basic_consume = basic_consume  # type: ignore[method-assign]
    Channel.basic_ack = basic_ack  # type: ignore[method-assign]
    QueueHandler.work = work  # type: ignore[method-assign]


def no_sweeper() -> None:
    """What the fast path did not get confirmed is left behind."""
    from common.relay import Relay

    async def sweep(self: Relay) -> int:
        return 0

    Relay.sweep = sweep  # type: ignore[method-assign]


def no_outbox() -> None:
    """Announcements are published from memory after the commit and written nowhere."""
    from common import outbox

    async def append_rows(tx: Any, rows: Sequence[Any]) -> None:
        tx.outgoing.extend(rows)

    outbox.append_rows = append_rows


def no_signature() -> None:
    """Whoever knows the webhook's address may send one."""
    cashfree: Any = importlib.import_module("webhook_ingest.gateways.cashfree")

    class Lenient:
        def __getattr__(self, name: str) -> Any:
            return getattr(hmac, name)

        @staticmethod
        def compare_digest(_: Any, __: Any) -> bool:
            return True

    cashfree.hmac = Lenient()


SABOTAGE: dict[str, Callable[[], None]] = {
    act.__name__.replace("_", "-"): act
    for act in (
        die_before_ack,
        die_before_mark,
        die_before_answer,
        die_inside_batch,
        no_inbox_claim,
        no_business_key,
        not_mandatory,
        ack_before_commit,
        no_sweeper,
        no_outbox,
        no_signature,
    )
}


def main() -> None:
    what, service = sys.argv[1:]
    SABOTAGE[what]()
    sys.argv = [service, "serve"]
    importlib.import_module(f"{snake(service)}.__main__").main()


if __name__ == "__main__":
    main()
