"""Windows: what keeps a service for longer in a moment that is too short to be hit by chance.

A control runs its service twice with the same window open, once without a guard and once with it, so that the guard
alone makes the difference. Each is a change of the process that `tests.faults.mutate_and_run` starts.
"""

import asyncio
import importlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from common.guards import LOCK_ORDER, Guards

# How long a window is held open: longer than a look at the outbox or at the intents takes to come round.
WINDOW_SECONDS = 1.0
LOCK_SECONDS = 0.3


def slow_lock() -> None:
    """The wallets are looked at for a while once they are locked."""
    commands: Any = importlib.import_module("wallet.store.commands")
    real = commands.lock_wallets

    async def lock_wallets(tx: Any, owners: Collection[Any], guards: Guards) -> Any:
        wallets = await real(tx, owners, guards)
        await asyncio.sleep(LOCK_SECONDS)
        return wallets

    commands.lock_wallets = lock_wallets


def locks_one_by_one() -> None:
    """The wallets are locked one after the other, slowly: in sorted order, or each time in the opposite one."""
    commands: Any = importlib.import_module("wallet.store.commands")
    real = commands.lock_wallets
    turns = [False]

    async def lock_wallets(tx: Any, owners: Collection[Any], guards: Guards) -> Any:
        turns[0] = not turns[0]
        wallets: dict[Any, Any] = {}
        for owner in sorted(owners, reverse=turns[0] and not guards.has(LOCK_ORDER)):
            wallets |= await real(tx, [owner], guards)
            await asyncio.sleep(LOCK_SECONDS)
        return wallets

    commands.lock_wallets = lock_wallets


def slow_work() -> None:
    """A batch lies in the process for a while before it is worked."""
    from common.queue_handler import QueueHandler

    handler: Any = QueueHandler
    real_work = handler.work

    async def work(self: QueueHandler, deliveries: Sequence[Any]) -> None:
        await asyncio.sleep(WINDOW_SECONDS)
        await real_work(self, deliveries)

    handler.work = work


def slow_mails() -> None:
    """The mail server takes its time."""
    smtp: Any = importlib.import_module("notifier.gateways.smtp")
    real = smtp.Smtp.send

    async def send(self: Any, *args: Any) -> Any:
        await asyncio.sleep(2 * WINDOW_SECONDS)
        return await real(self, *args)

    smtp.Smtp.send = send


def sweeper_only() -> None:
    """Nothing is published after its commit: all of it is left to the sweepers."""
    from common.relay import Relay

    relay: Any = Relay
    relay.announce = lambda self, rows: None


WINDOWS: dict[str, Callable[[], None]] = {
    window.__name__.replace("_", "-"): window
    for window in (locks_one_by_one, slow_lock, slow_mails, slow_work, sweeper_only)
}
