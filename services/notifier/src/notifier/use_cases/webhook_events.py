"""Events become deliveries: stored within the transaction that handles them, one for each endpoint that wants them."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct

from common.clock import Clock
from common.database import Tx
from notifier.domain.webhook_endpoints import Endpoint
from notifier.domain.webhook_events import WebhookEvent
from notifier.store import webhook_commands, webhook_queries


class Announced(Struct, frozen=True):
    """An event of ours that merchants may hear of. Its body is made only when somebody listens."""

    merchant_id: str
    render: Callable[[], WebhookEvent]


async def queue_webhooks(tx: Tx, announced: Sequence[Announced], clock: Clock) -> None:
    """Queue each event for each endpoint that wants it; without any, this is one read."""
    endpoints = await webhook_queries.enabled_endpoints(tx, {each.merchant_id for each in announced})
    if not endpoints:
        return
    by_merchant: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        by_merchant[endpoint.merchant_id].append(endpoint)
    events = {event.id: event for each in announced if each.merchant_id in by_merchant for event in [each.render()]}
    pairs = [
        (endpoint.id, event.id)
        for event in events.values()
        for endpoint in by_merchant[event.merchant_id]
        if endpoint.wants(event.type)
    ]
    await webhook_commands.insert_events(tx, sorted(events.values(), key=lambda event: event.id))
    if pairs:
        await webhook_commands.insert_deliveries(tx, sorted(pairs), clock.now())
