"""An order at its gateway, as far as it is known at one moment."""

import msgspec

from gateways import AttemptStatus, OrderSnapshot, PaymentAttempt

# An attempt's rank only rises, in whatever order its webhooks come. A failed one may still succeed, never the reverse.
ATTEMPT_RANK: dict[AttemptStatus, int] = {status: rank for rank, status in enumerate(AttemptStatus)}


class OrderKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """What identifies an order: its id is unique within its gateway account only."""

    gateway_account_id: str
    order_id: str


class ObservedOrder(msgspec.Struct, frozen=True):
    """The gateway's own snapshot of an order, and the attempts that webhooks or the gateway report for it."""

    snapshot: OrderSnapshot
    attempts: tuple[PaymentAttempt, ...] = ()
    # An attempt came in a webhook whose signature was verified.
    from_webhook: bool = False


def highest_ranked(attempts: list[PaymentAttempt]) -> list[PaymentAttempt]:
    """One report for each attempt, the furthest one, in the order of first mention."""
    furthest: dict[str, PaymentAttempt] = {}
    for attempt in attempts:
        known = furthest.get(attempt.gateway_payment_id)
        if known is None or ATTEMPT_RANK[attempt.status] > ATTEMPT_RANK[known.status]:
            furthest[attempt.gateway_payment_id] = attempt
    return list(furthest.values())
