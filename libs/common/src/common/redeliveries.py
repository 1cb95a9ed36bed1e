"""Events that leave a queue for another try: to a retry tier, to the dead letters, or alone to the same queue."""

from collections.abc import Mapping, Sequence

from common import envelopes, topology
from common.database import Database
from common.envelopes import Delivery
from common.events import micros
from common.guards import FRESH_HEADERS
from common.outbox import HeaderValue, Outgoing
from common.topology import REQUEUE


class Redeliveries:
    """What is sent instead of a delivery of *queue*: envelopes of one event, rows for the outbox."""

    def __init__(self, db: Database, queue: str, retry_schedule_ms: Sequence[int]) -> None:
        self._db = db
        self._queue = queue
        self._retry_schedule_ms = tuple(retry_schedule_ms)
        self._has_fresh_headers = db.guards.has(FRESH_HEADERS)

    def is_last(self, delivery: Delivery) -> bool:
        """Whether no retry tier is left."""
        return delivery.attempt >= len(self._retry_schedule_ms)

    def again(self, delivery: Delivery, body: bytes, error_code: str, error_class: str, dead: bool) -> Outgoing:
        """One event on its way to the next retry tier, or to the dead letters."""
        headers: dict[str, HeaderValue] = {} if self._has_fresh_headers else dict(delivery.headers)
        headers |= {
            envelopes.ATTEMPT: delivery.attempt + 1,
            envelopes.FIRST_FAILED: delivery.first_failed_unix_micros or micros(self._db.clock.now()),
            envelopes.ERROR_CLASS: error_class,
            envelopes.ERROR_CODE: error_code,
        }
        if dead:
            return self._envelope_of_one(delivery, body, REQUEUE, self._queue + topology.DEAD_LETTERS, headers)
        tier = topology.retry_exchange(self._retry_schedule_ms[delivery.attempt], self._db.random)
        return self._envelope_of_one(delivery, body, tier, self._queue, headers)

    def alone(self, delivery: Delivery, body: bytes) -> Outgoing:
        """One event of many, back to the same queue."""
        return self._envelope_of_one(delivery, body, REQUEUE, self._queue, headers=None)

    def _envelope_of_one(
        self,
        delivery: Delivery,
        body: bytes,
        exchange: str,
        routing_key: str,
        headers: Mapping[str, HeaderValue] | None,
    ) -> Outgoing:
        envelope_id, sealed = envelopes.seal(
            delivery.producer,
            delivery.type,
            [body],
            delivery.traceparent,
            contexts=[delivery.context_of(body)],
            clock=self._db.clock,
        )
        return Outgoing(envelope_id, exchange, routing_key, True, delivery.type, sealed, headers)
