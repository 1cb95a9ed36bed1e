"""What is kept beside the payments: the fee rules in memory, the evidence of gateway calls in its table."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from common.clock import Clock
from common.database import Database
from gateways import GatewayCall
from payment import store
from payment.domain import FeeRule
from payment.use_cases import measures

CALLS_WAITING_MAX = 50_000
CALLS_BATCH = 2_000
CALLS_KEEP = timedelta(days=7)


class CallLog:
    """Gateway calls, written in the background: evidence for stories, never the truth about a payment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[tuple[datetime, GatewayCall]] = deque(maxlen=CALLS_WAITING_MAX)

    def heard(self, call: GatewayCall) -> None:
        measures.called(call.operation, call.http_status, call.outcome, call.ms)
        self._waiting.append((self._clock.now(), call))

    async def flush(self, db: Database) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), CALLS_BATCH))]
            async with db.begin() as tx:
                await store.add_calls(tx, batch)

    async def forget(self, db: Database) -> None:
        async with db.begin() as tx:
            await store.forget_calls(tx, self._clock.now(), CALLS_KEEP)


class Tariff:
    """The fee rules as of the last look at their table."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rules: Sequence[FeeRule] = ()

    def rules(self) -> Sequence[FeeRule]:
        return self._rules

    async def refresh(self) -> None:
        async with self._db.begin() as tx:
            self._rules = await store.fee_rules(tx)
