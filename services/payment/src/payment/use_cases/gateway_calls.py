"""Calls to gateways, recorded as evidence for timelines; never the truth about a payment."""

from collections import deque

from common.clock import Clock
from common.database import Database
from gateways import GatewayCall
from payment.store import gateway_calls
from payment.store.gateway_calls import RecordedCall
from payment.use_cases import metrics
from payment.use_cases.gateway_health import GatewayHealth

WAITING_MAX = 50_000
BATCH_MAX = 2_000
WRITE_SECONDS = 1
DELETE_SECONDS = 3600


class GatewayCallLog:
    """Calls wait in memory and are written in the background; a process that dies loses its last second of them."""

    def __init__(self, clock: Clock, health: GatewayHealth) -> None:
        self._clock = clock
        self._health = health
        self._waiting: deque[RecordedCall] = deque(maxlen=WAITING_MAX)

    def record(self, call: GatewayCall) -> None:
        metrics.gateway_called(call)
        self._health.record(call)
        self._waiting.append(RecordedCall(self._clock.now(), call))

    async def write(self, db: Database) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_MAX))]
            async with db.begin() as tx:
                await gateway_calls.add_calls(tx, batch)

    async def delete_old(self, db: Database) -> None:
        async with db.begin() as tx:
            await gateway_calls.delete_old_calls(tx)
