"""What is known of an order at the gateway, and the furthest that each attempt at it has come."""

import msgspec

from gateways import OrderSnapshot, PaymentAttempt
from payment.domain.states import ATTEMPT_RANK


class Facts(msgspec.Struct, frozen=True):
    """All that is known about one order at one moment."""

    view: OrderSnapshot
    claims: tuple[PaymentAttempt, ...] = ()
    # The gateway's webhook brought a claim (its signature was checked), or we asked ourselves.
    from_webhook: bool = False


def strongest(claims: list[PaymentAttempt]) -> list[PaymentAttempt]:
    """One claim for each attempt, the furthest one, in the order of first mention."""
    best: dict[str, PaymentAttempt] = {}
    for claim in claims:
        known = best.get(claim.gateway_payment_id)
        if known is None or ATTEMPT_RANK[claim.status] > ATTEMPT_RANK[known.status]:
            best[claim.gateway_payment_id] = claim
    return list(best.values())
