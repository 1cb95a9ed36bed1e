"""Breaks a disposable stack on purpose and waits for the alert in Alertmanager and for its mail, then repairs it.

RabbitMQ is stopped, dead letters are made, a wallet's balance is changed behind the service's back. Everything is
undone, but the books of a stack on which it ran are evidence of nothing: never against a fleet with real money.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import aio_pika
import asyncpg
from msgspec import Struct

from commdesk.reconciler.v1 import reconciler_pb2
from common.topology import CONTRACT
from ops import stack
from ops.fleet_client import FleetClient
from ops.monitoring_servers import Servers
from ops.ports import Layout

# The longest `for` of the three, the tolerance of reconciliation, and some looks.
SEEN_SECONDS = 240.0
OVER_SECONDS = 180.0
ACTOR = "operator:monitoring-check"
UNREADABLE = 20
EVENT = "payment.success"
_NEWEST_WALLET = "(select wallet_id from wallet.wallet_transactions order by transaction_id desc limit 1)"
_CHANGED = (
    f"update wallet.wallets set available = available + $1 where wallet_id = {_NEWEST_WALLET} returning wallet_id"
)


class AlertMissing(Exception):
    """An alert did not reach Alertmanager, its mail did not come, or it did not go away."""


class Seen(Struct, frozen=True):
    """An alert that fired: seconds until Alertmanager had it, until its mail was there, and until it was over."""

    alert: str
    fired_seconds: float
    mailed_seconds: float
    over_seconds: float


class Trial:
    """One stack, with Prometheus and Alertmanager beside it."""

    def __init__(self, layout: Layout, fleet: FleetClient, servers: Servers) -> None:
        self._layout = layout
        self._fleet = fleet
        self._servers = servers

    async def run(self) -> AsyncIterator[Seen]:
        """All three, one after the other. Raises AlertMissing."""
        yield await self._stopped_broker()
        yield await self._dead_letters()
        yield await self._broken_books()

    async def _stopped_broker(self) -> Seen:
        supervisor = stack.existing_supervisor(self._layout)
        assert supervisor is not None, "the stack runs under a supervisor"
        return await self._see(
            "BrokerDown",
            lambda: asyncio.to_thread(supervisor.stop, "rabbitmq"),
            lambda: asyncio.to_thread(supervisor.start, "rabbitmq", wait=True),
        )

    async def _dead_letters(self) -> Seen:
        return await self._see("DeadLettersGrow", self._publish_unreadable, self._discard)

    async def _broken_books(self) -> Seen:
        return await self._see(
            "ReconciliationMismatch", lambda: self._change_balance(1), lambda: self._change_balance(-1), self._compare
        )

    async def _see(
        self,
        alert: str,
        break_it: Callable[[], Awaitable[Any]],
        repair: Callable[[], Awaitable[Any]],
        meanwhile: Callable[[], Awaitable[Any]] | None = None,
    ) -> Seen:
        """Break, wait for the alert and its mail, repair, wait until it is over; *meanwhile* is done at each look."""
        if alert in self._firing():
            raise AlertMissing(f"{alert} fires before anything is broken")
        mails_before = len(await self._mails(alert))
        started = time.monotonic()
        await break_it()
        try:
            fired = await self._until(lambda: alert in self._firing(), f"{alert} did not fire", SEEN_SECONDS, meanwhile)
            mailed = await self._until_mailed(alert, mails_before)
        finally:
            await repair()
        repaired = time.monotonic()
        over = await self._until(
            lambda: alert not in self._firing(), f"{alert} did not go away", OVER_SECONDS + 15 * 60, meanwhile
        )
        return Seen(alert, fired - started, mailed - started, over - repaired)

    def _firing(self) -> set[str]:
        return {labels["alertname"] for labels in self._servers.firing()}

    async def _mails(self, alert: str) -> list[dict[str, Any]]:
        return await self._fleet.mails(contains=alert, limit="100")

    async def _until_mailed(self, alert: str, mails_before: int) -> float:
        ends = time.monotonic() + SEEN_SECONDS
        while len(await self._mails(alert)) <= mails_before:
            if time.monotonic() > ends:
                raise AlertMissing(f"no mail about {alert}")
            await asyncio.sleep(1)
        return time.monotonic()

    async def _until(
        self,
        condition: Callable[[], bool],
        what: str,
        seconds: float,
        meanwhile: Callable[[], Awaitable[Any]] | None,
    ) -> float:
        ends = time.monotonic() + seconds
        while not await asyncio.to_thread(condition):
            if time.monotonic() > ends:
                raise AlertMissing(f"{what} within {seconds:.0f} s")
            if meanwhile is not None:
                await meanwhile()
            await asyncio.sleep(5)
        return time.monotonic()

    async def _publish_unreadable(self) -> None:
        """Bodies that nobody can read, where payment may publish: they go to the dead letters as they are."""
        event = next(each for each in CONTRACT.events.values() if each.key == EVENT)
        async with await aio_pika.connect(self._fleet.description["rabbitmq"]["urls"]["payment"]) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(event.exchange, ensure=False)
            for number in range(UNREADABLE):
                message = aio_pika.Message(b"unreadable %d" % number, type=event.type, user_id="payment")
                await exchange.publish(message, event.key)

    async def _discard(self) -> None:
        await asyncio.to_thread(_commdesk, ["dlq", "discard", "--all", "--reason", "made by make monitoring-check"])

    async def _change_balance(self, credits: int) -> None:
        described = self._fleet.description["postgresql"]
        connection = await asyncpg.connect(described["superuser_url"], database=described["database"])
        try:
            if await connection.fetchval(_CHANGED, credits) is None:
                raise AlertMissing("no wallet has a transaction yet: make payments first")
        finally:
            await connection.close()

    async def _compare(self) -> None:
        await self._fleet.reconciler().Run(reconciler_pb2.RunRequest(actor=ACTOR), timeout=60)


def _commdesk(arguments: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "ops", *arguments], check=True, stdout=subprocess.DEVNULL)
