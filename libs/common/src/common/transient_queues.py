"""Events for the memory of one process: each replica has a queue of its own, which goes with its connection."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from aio_pika.abc import AbstractChannel
from aiormq.abc import FieldTable
from loguru import logger

from common import messages
from common.envelopes import Delivery
from common.metrics import QueueMetrics
from common.subscriptions import TransientSubscription
from common.topology import Transient

# Classic: a quorum queue cannot be exclusive. Bounded: a replica that stands still must not fill the broker.
ARGUMENTS: FieldTable = {"x-queue-type": "classic", "x-max-length": 10_000}


class TransientHandler:
    """The subscriptions of one transient queue of *service*. Nothing is tried again: what cannot be read is logged."""

    def __init__(self, service: str, transient: Transient, subscriptions: Iterable[TransientSubscription]) -> None:
        self._prefix = transient.prefix(service)
        self._transient = transient
        self._by_type = {subscription.type: subscription for subscription in subscriptions}
        self._metrics = QueueMetrics(transient.name)

    async def declare(self, channel: AbstractChannel) -> str:
        """Make this replica's queue and bind it; its name, which is new each time."""
        # The queue of a connection that was lost may live on until the broker notices.
        name = self._prefix + secrets.token_hex(8)
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, arguments=ARGUMENTS)
        for exchange, key in self._transient.bindings:
            await queue.bind(exchange, key)
        return name

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        """Hand all events to their subscriptions, by type."""
        events: dict[str, list[Any]] = {}
        for delivery in deliveries:
            subscription = self._by_type.get(delivery.type)
            if subscription is None or delivery.unreadable:
                self._unreadable(delivery, "no subscription")
                continue
            for body in delivery.bodies:
                try:
                    event = subscription.decode(messages.parse(subscription.message, body))
                except Exception as error:  # noqa: BLE001 - one bad event must not end the consumer, and the process
                    self._unreadable(delivery, type(error).__name__)
                else:
                    events.setdefault(delivery.type, []).append(event)
        for type_name, decoded in events.items():
            try:
                await self._by_type[type_name].handle(decoded)
            except Exception as error:  # noqa: BLE001 - a bug in one must not keep the others from their events
                logger.bind(queue=self._transient.name, type=type_name).opt(exception=error).error("handler raised")

    def _unreadable(self, delivery: Delivery, why: str) -> None:
        logger.bind(queue=self._transient.name, type=delivery.type).error("not readable: {}", why)
        self._metrics.refused(len(delivery.bodies))
