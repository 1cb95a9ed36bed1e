"""The worker that sends webhooks: lease what is due, send it outside any transaction, record what was answered.

A lease is a retry in half a minute that nobody needs if the worker reports: a worker that dies sends again, so a
merchant gets an event at least once. Endpoints whose last delivery failed have places of their own, and each endpoint
has few: a thousand dead ones slow nobody.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from loguru import logger
from msgspec import Struct

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from common import ids, outbox, telemetry
from common.batching import Batcher
from common.clock import Clock
from common.database import Database, Tx, is_transient, retried
from common.errors import DomainError
from common.events import alert
from common.runtime import Workers
from notifier.domain import webhook_endpoints
from notifier.domain.webhook_deliveries import Answer, Attempt, DeliveryStatus, next_step
from notifier.domain.webhook_endpoints import Endpoint
from notifier.domain.webhook_signatures import signature_headers
from notifier.gateways.webhooks import WebhookSender
from notifier.store import webhook_commands
from notifier.store.webhook_commands import Leased, Room

POLL_SECONDS: Final = 0.5
# Places for endpoints that answer, for those that do not, and for one endpoint.
HEALTHY_AT_ONCE: Final = 192
FAILING_AT_ONCE: Final = 64
ENDPOINT_AT_ONCE: Final = 16
# And for all endpoints of one merchant.
MERCHANT_AT_ONCE: Final = 48
# Longer than an attempt takes at most and its outcome to be recorded.
LEASE: Final = timedelta(seconds=30)
EVENTS_KEEP: Final = timedelta(days=30)
_FORGET_ROWS: Final = 1_000
_JITTER: Final = 0.1

_deliveries = telemetry.counter(
    "notifier_webhook_attempts_total", "Attempts to deliver webhooks by what came of them", ["outcome"]
)
_seconds = telemetry.histogram(
    "notifier_webhook_attempt_seconds", "How long merchants' servers take to answer a webhook", []
)


class Report(Struct, frozen=True):
    """What became of one leased delivery."""

    leased: Leased
    answer: Answer


class WebhookDeliveries:
    """Delivers what is due, until it is told to stop. One of Workers.intents: it runs and ends as intents do."""

    kind = "webhook"

    def __init__(self, db: Database, clock: Clock, sender: WebhookSender, schedule: tuple[timedelta, ...]) -> None:
        self._db = db
        self._clock = clock
        self._sender = sender
        self._schedule = schedule
        self._in_flight: dict[bool, Counter[UUID]] = {False: Counter(), True: Counter()}
        self._of_merchants: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._reports: Batcher[Report, None] = Batcher(
            self._record, name="webhooks", expected=lambda: len(self._running), clock=db.clock
        )
        self.workers = Workers(intents=(self,), batchers=(self._reports,))

    async def run(self) -> None:
        """Lease what is due and send it, until `stop`."""
        while not self._stopping:
            try:
                leased = await self._lease_all()
            except Exception as error:  # noqa: BLE001 - the worker outlives the database
                if not is_transient(error):
                    logger.exception("webhook worker")
                leased = []
            self._start(leased)
            # Cleared before the next lease: what finishes meanwhile makes it look again.
            if not leased or self._is_full():
                await self._sleep()

    async def run_once(self) -> int:
        """Send what is due now to its end; how many deliveries."""
        leased = await self._lease_all()
        if leased:
            await asyncio.wait(self._start(leased))
        return len(leased)

    def stop(self) -> None:
        """Take nothing new."""
        self._stopping = True
        self._wake.set()

    async def drain(self) -> None:
        """Wait for what is being sent."""
        if self._running:
            await asyncio.wait(self._running)
        await self._reports.drain()

    async def forget(self, age: timedelta) -> None:
        """Delete what is older than a month; *age* is of intents, merchants look further back."""
        before = self._clock.now() - max(age, EVENTS_KEEP)
        forgotten = _FORGET_ROWS
        while forgotten == _FORGET_ROWS:
            async with self._db.begin() as tx:
                forgotten = await webhook_commands.forget_events(tx, before, _FORGET_ROWS)

    def wake(self) -> None:
        """Something may be due now."""
        self._wake.set()

    def _is_full(self) -> bool:
        return all(self._free(failing) <= 0 for failing in (False, True))

    def _free(self, failing: bool) -> int:
        return (FAILING_AT_ONCE if failing else HEALTHY_AT_ONCE) - self._in_flight[failing].total()

    async def _lease_all(self) -> list[tuple[bool, Leased]]:
        return [(failing, leased) for failing in (False, True) for leased in await self._lease(failing)]

    async def _lease(self, failing: bool) -> Sequence[Leased]:
        free = self._free(failing)
        if free <= 0:
            return ()
        # An endpoint may have changed sides: what is under way to it on either counts.
        under_way = self._in_flight[False] + self._in_flight[True]
        each = min(ENDPOINT_AT_ONCE, free)
        room = Room(
            each,
            MERCHANT_AT_ONCE,
            {endpoint_id: ENDPOINT_AT_ONCE - count for endpoint_id, count in under_way.items()},
            {merchant_id: MERCHANT_AT_ONCE - count for merchant_id, count in self._of_merchants.items()},
        )
        now = self._clock.now()
        async with self._db.begin() as tx:
            return await webhook_commands.lease(
                tx, room, failing=failing, endpoints=max(1, free // each), now=now, until=now + LEASE
            )

    def _start(self, leased: Iterable[tuple[bool, Leased]]) -> set[asyncio.Task[None]]:
        started = set()
        for failing, each in leased:
            self._in_flight[failing][each.endpoint.id] += 1
            self._of_merchants[each.endpoint.merchant_id] += 1
            task = asyncio.create_task(self._deliver(each), name="webhook")
            self._running.add(task)
            task.add_done_callback(lambda task, failing=failing, each=each: self._finished(task, failing, each))  # type: ignore[misc]
            started.add(task)
        return started

    def _finished(self, task: asyncio.Task[None], failing: bool, leased: Leased) -> None:
        self._running.discard(task)
        endpoints, merchants = self._in_flight[failing], self._of_merchants
        endpoints[leased.endpoint.id] -= 1
        merchants[leased.endpoint.merchant_id] -= 1
        if endpoints[leased.endpoint.id] <= 0:
            del endpoints[leased.endpoint.id]
        if merchants[leased.endpoint.merchant_id] <= 0:
            del merchants[leased.endpoint.merchant_id]
        self._wake.set()

    async def _deliver(self, leased: Leased) -> None:
        try:
            answer = await self._sender.post(leased.endpoint.url, self._headers(leased), leased.body)
            _seconds.of().observe(answer.ms / 1000)
            _deliveries.of(answer.error or "delivered").inc()
            await self._reports.submit(Report(leased, answer))
        except Exception as error:  # noqa: BLE001 - the lease ends, and it is sent again
            logger.warning("webhook not recorded: {}", type(error).__name__)

    def _headers(self, leased: Leased) -> dict[str, str]:
        now = self._clock.now()
        secrets = webhook_endpoints.current_secrets(leased.endpoint, now)
        webhook_id = ids.encode("evt", leased.delivery.event_id)
        signed = signature_headers(webhook_id, int(now.timestamp()), leased.body, secrets)
        return {**leased.endpoint.headers, **signed, "X-Webhook-Event": leased.delivery.type}

    async def _record(self, reports: list[Report]) -> list[DomainError | None]:
        @retried
        async def record(db: Database) -> None:
            async with db.begin() as tx:
                await self._save(tx, reports)

        await record(self._db)
        return [None] * len(reports)

    async def _save(self, tx: Tx, reports: Sequence[Report]) -> None:
        now = self._clock.now()
        by_endpoint: dict[UUID, list[Report]] = defaultdict(list)
        for report in reports:
            by_endpoint[report.leased.endpoint.id].append(report)
        endpoints = await webhook_commands.lock_endpoints(tx, by_endpoint.keys())
        attempts = [
            Attempt(
                each.leased.delivery.id, each.leased.delivery.attempts, now, each.leased.delivery.trigger, each.answer
            )
            for each in reports
        ]
        steps = {
            each.delivery_id: next_step(each.number, each.answer, self._schedule, self._jitter(), now)
            for each in attempts
        }
        await webhook_commands.record_attempts(tx, attempts, steps, now)
        given_up = []
        for endpoint_id, of_endpoint in by_endpoint.items():
            before = endpoints[endpoint_id]
            after = webhook_endpoints.after_deliveries(
                before,
                [each.answer.is_success for each in of_endpoint],
                is_gone=any(each.answer.is_gone for each in of_endpoint),
                now=now,
            )
            if after is not before:
                await webhook_commands.save_endpoint(tx, after)
                if before.is_enabled and not after.is_enabled:
                    given_up.append(after)
        await webhook_commands.set_due(tx, by_endpoint.keys())
        await outbox.append(tx, [_given_up(endpoint, now) for endpoint in given_up])
        exhausted = sum(step.status is DeliveryStatus.FAILED for step in steps.values())
        if exhausted:
            logger.warning("{} webhook(s) failed for good", exhausted)

    def _jitter(self) -> float:
        return self._db.random.uniform(1 - _JITTER, 1 + _JITTER)

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()


def _given_up(endpoint: Endpoint, now: datetime) -> AdminAlertRaised:
    return alert(
        "webhook_endpoint_disabled",
        f"an endpoint of {endpoint.merchant_id} gets no webhooks any more: {endpoint.disabled_reason}",
        service="notifier",
        at=now,
        fields={"endpointId": ids.encode("wep", endpoint.id), "merchantId": endpoint.merchant_id},
    )
