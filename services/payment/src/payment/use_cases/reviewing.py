"""What fraud says about payments is noted on them. Holding the grant of a flagged payment comes with a later flow."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from common import outbox
from common.clock import Clock
from common.database import Tx
from common.handling import Refused
from payment import domain, store
from payment.domain import Origin, Payment, PaymentNotFound, Review
from payment.wire import events


class Opinion(msgspec.Struct, frozen=True):
    """FLAGGED by the rules, or ALLOWED or BLOCKED by a person."""

    payment_id: UUID
    review: Review
    reason: str
    score: int | None
    actor_id: str


async def note_opinions(tx: Tx, opinions: Sequence[Opinion], *, clock: Clock) -> list[Refused]:
    """Record each opinion, in order; one about a payment that is not there (yet) waits."""
    now = clock.now()
    payments = await store.lock(tx, {opinion.payment_id for opinion in opinions})
    changed: dict[UUID, Payment] = {}
    messages = []
    refused = []
    for opinion in opinions:
        payment = changed.get(opinion.payment_id) or payments.get(opinion.payment_id)
        if payment is None:
            refused.append(Refused(opinion, PaymentNotFound()))
            continue
        after = domain.flagged(payment, opinion.review, opinion.reason, opinion.score, now)
        if after is payment:
            continue
        changed[payment.id] = after
        origin = Origin(actor_id=opinion.actor_id)
        messages.append(
            events.audit(after, "payment.review", payment.status, now, origin=origin, review=opinion.review.value)
        )
    await store.save(tx, list(changed.values()))
    await outbox.append(tx, messages)
    return refused
