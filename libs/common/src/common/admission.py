"""Which deliveries are genuine: the broker vouches for publisher, exchange and key, the message's own text for nothing.

RabbitMQ checks that a `user-id` is the publisher's own, and that it may write its routing key. What it does not check
(3.10: the keys of the CC and BCC headers) is checked here, for every delivery of every queue. A forged one is
acknowledged and never handled. It is not kept either, since a replay would publish it under the owner's user. A genuine
one that was dropped as forged is still in its producer's outbox, and the delivery check republishes it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from common import outbox
from common.database import Database, retried
from common.envelopes import Delivery
from common.events import alert
from common.metrics import QueueMetrics
from common.queue_handler import retry_until_available
from common.topology import CONTRACT, MIGRATOR, REQUEUE, Queue, Transient, matches

# At most one alert in this time, so that one forger does not fill logs and mailboxes; the metric counts all.
ALERT_SECONDS = 60.0
# Decisions are cached by exchange, key, user and type: the contract has few combinations.
REMEMBERED_MAX = 1_000

Work = Callable[[Sequence[Delivery]], Awaitable[None]]


class Admission:
    """Who may send what to one queue, and by which exchange and key.

    *owner* may address it by *name* (retries, splits, replays), as the migrator may; producers of an event reach it by
    *bindings*. With *verifies_user* false (one broker user for all) only exchange and key are checked.
    """

    def __init__(
        self, name: str, owner: str, bindings: Sequence[tuple[str, str]], *, addressed: bool, verifies_user: bool
    ) -> None:
        self.name = name
        self._owner = owner
        self._bindings = bindings
        self._addressed = addressed
        self._verifies_user = verifies_user
        self._decided: dict[tuple[str, str, str, str], bool] = {}

    def admits(self, delivery: Delivery) -> bool:
        case = (delivery.exchange, delivery.routing_key, delivery.user_id, delivery.type)
        decided = self._decided.get(case)
        if decided is None:
            if len(self._decided) >= REMEMBERED_MAX:
                self._decided.clear()
            decided = self._decided[case] = self._decide(*case)
        return decided

    def _decide(self, exchange: str, key: str, user: str, type_name: str) -> bool:
        if exchange == REQUEUE:
            return self._addressed and key == self.name and self._may_address(user, type_name)
        if not any(bound == exchange and matches(pattern, key) for bound, pattern in self._bindings):
            return False
        # A type that this release does not know may be a newer one's: it is for the dead letters.
        event_of_type = CONTRACT.events.get(type_name)
        announced = CONTRACT.events_at(exchange, key) if event_of_type is None else (event_of_type,)
        return any(
            event.exchange == exchange
            and event.has_key(key)
            and (not self._verifies_user or event.is_announced_by(user))
            for event in announced
        )

    def _may_address(self, user: str, type_name: str) -> bool:
        return not self._verifies_user or user in (self._owner, MIGRATOR)


class DeadLetterAdmission(Admission):
    """For `<queue>.dlq`: what the owner puts there, and what the broker moves there, under its producer's name.

    A release before the requeue exchange put it there by the default exchange, without a name. What still lies there is
    from before bootstrap: since then no service may write to the default exchange (`topology.rights`).
    """

    def _decide(self, exchange: str, key: str, user: str, type_name: str) -> bool:
        is_from_before = exchange == "" and key == self.name and not user
        return is_from_before or super()._decide(exchange, key, user, type_name)

    def _may_address(self, user: str, type_name: str) -> bool:
        event = CONTRACT.events.get(type_name)
        return super()._may_address(user, type_name) or (event is not None and event.is_announced_by(user))


def of_queue(queue: Queue, *, verifies_user: bool) -> Admission:
    return Admission(queue.name, queue.owner, queue.bindings, addressed=True, verifies_user=verifies_user)


def of_dead_letters(queue: Queue, *, verifies_user: bool) -> Admission:
    return DeadLetterAdmission(queue.dead_letters, queue.owner, (), addressed=True, verifies_user=verifies_user)


def of_transient(transient: Transient, service: str, *, verifies_user: bool) -> Admission:
    return Admission(transient.name, service, transient.bindings, addressed=False, verifies_user=verifies_user)


class GenuineOnly:
    """Calls *work* with the genuine deliveries; the others are counted and reported by at most one alert a minute."""

    def __init__(self, db: Database, admission: Admission, work: Work) -> None:
        self._db = db
        self._admission = admission
        self._work = work
        self._metrics = QueueMetrics(admission.name)
        self._unreported: Counter[str] = Counter()
        self._alerted_at: float | None = None

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        genuine = [delivery for delivery in deliveries if self._admission.admits(delivery)]
        if len(genuine) < len(deliveries):
            await self._refuse([delivery for delivery in deliveries if not self._admission.admits(delivery)])
        if genuine:
            await self._work(genuine)

    async def _refuse(self, forged: Sequence[Delivery]) -> None:
        self._metrics.forged(len(forged))
        for delivery in forged:
            self._unreported[delivery.user_id or "nobody"] += 1
        now = self._db.clock.monotonic()
        if self._alerted_at is not None and now - self._alerted_at < ALERT_SECONDS:
            return
        self._alerted_at = now
        unreported, self._unreported = self._unreported, Counter()
        example = forged[0]
        logger.bind(
            queue=self._admission.name,
            user=example.user_id,
            exchange=example.exchange,
            routing_key=example.routing_key,
            type=example.type[:100],
            envelope=str(example.envelope_id),
        ).error("{} forged messages refused", unreported.total())

        @retried
        async def announce(db: Database) -> None:
            async with db.begin() as tx:
                await outbox.append(
                    tx,
                    [
                        alert(
                            "message_forged",
                            f"{self._admission.name}: {unreported.total()} messages were refused as forged,"
                            f" published by {', '.join(sorted(unreported))}",
                            service=tx.service,
                            at=db.clock.now(),
                            fields={
                                "queue": self._admission.name,
                                "users": ",".join(sorted(unreported)),
                                "exchange": example.exchange,
                                "routingKey": example.routing_key,
                                # A forger may choose it, and it is mailed: only types of the contract are shown.
                                "type": example.type if example.type in CONTRACT.events else "unknown",
                            },
                        )
                    ],
                )

        await retry_until_available(lambda: announce(self._db), self._admission.name, self._metrics)
