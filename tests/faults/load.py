"""Members who go on buying and spending while things break, retry, and remember every answer."""

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import grpc.aio

from ops import journey, virtual_users
from ops.fleet_client import FleetClient
from ops.journey import Member, StepFailed
from tests.faults.history import Created, History
from tests.faults.retry import retry

RETRY_SECONDS_MAX = virtual_users.RETRY_SECONDS_MAX
# One request in so many is a member who spends.
SPENDING_SHARE = 4


@dataclass
class Load:
    """Buys at `per_second` until it is stopped; each member is somebody new, the spenders have credits already."""

    fleet: FleetClient
    history: History
    spenders: list[Member]
    per_second: float
    refusals: Collection[int] = ()
    """As `Environment.refusals`, which changes while the load runs."""
    pay: bool = True
    _stopping: bool = False
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Send at an even rate, whatever the answers do; return when the last answer is there."""
        due = time.monotonic()
        for number in itertools.count():
            if self._stopping:
                break
            self._send(number)
            due += 1 / self.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if self._running:
            await asyncio.wait(self._running)

    def stop(self) -> None:
        self._stopping = True

    def _send(self, number: int) -> None:
        spends = self.spenders and number % SPENDING_SHARE == SPENDING_SHARE - 1
        task = asyncio.create_task(self._timed(self._spend() if spends else self._buy()))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _timed(self, request: Coroutine[Any, Any, None]) -> None:
        began = time.monotonic()
        await request
        self.history.longest_seconds = max(self.history.longest_seconds, time.monotonic() - began)

    async def _buy(self) -> None:
        [member] = virtual_users.members(self.fleet, 1)
        key = f"fault-{secrets.token_hex(12)}"
        asked_at = datetime.now(UTC)
        try:
            answer = await virtual_users.create_with_retries(
                self.fleet, member, key, retry_seconds_max=RETRY_SECONDS_MAX, refusals=self.refusals
            )
            if answer.status != 201:
                self.history.unknown.append(f"{key} was answered {answer.status} {answer.raw[:200]!r}")
                return
            order_id = answer.data["orderId"]
            payment_id = answer.data["paymentId"]
            self.history.created.append(Created(member, key, payment_id, order_id, answer.raw, asked_at, by_load=True))
            if self.pay:
                # The gateway may stand still as well; an order that is paid already stays so.
                await retry(lambda: virtual_users.pay_order(self.fleet, order_id), RETRY_SECONDS_MAX)
                self.history.paid_orders.append(order_id)
        except (StepFailed, OSError, aiohttp.ClientError) as error:
            self.history.unknown.append(f"{key}: {error!r}")

    async def _spend(self) -> None:
        member, key = random.choice(self.spenders), f"fault-{secrets.token_hex(12)}"
        ends = time.monotonic() + RETRY_SECONDS_MAX
        while True:
            try:
                done = await journey.consume(self.fleet, member.user_id, 1, key)
                self.history.consumed[key] = done.transaction_id
                return
            except (grpc.aio.AioRpcError, StepFailed) as error:
                if time.monotonic() > ends:
                    self.history.unknown.append(f"{key}: {error!r}")
                    return
            await asyncio.sleep(random.uniform(0.1, 0.4))
