"""What the outside says: the gateway's view of an order, and claims about single attempts."""

from datetime import datetime

import msgspec

from common.money import Money
from payment.domain.states import ATTEMPT_RANK, AttemptStatus, OrderStatus


class OrderView(msgspec.Struct, frozen=True, gc=False):
    """The gateway's own word on one of our orders."""

    order_id: str
    gateway_order_id: str
    status: OrderStatus
    amount: Money
    session_id: str = ""
    # pay_… as it was sent along when the order was made; "" when the gateway does not tell.
    payment_id: str = ""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One attempt as a webhook or the gateway's list of payments tells it. No personal data."""

    order_id: str
    gateway_payment_id: str
    status: AttemptStatus
    # What the order was for, and what was taken; None when not told.
    order_amount: Money | None = None
    amount: Money | None = None
    method: str = ""
    group: str = ""
    bank_reference: str = ""
    # A code of ours, see REASONS; never the bank's free text.
    reason: str = ""
    at: datetime | None = None


class Facts(msgspec.Struct, frozen=True):
    """All that is known about one order at one moment."""

    view: OrderView
    claims: tuple[Claim, ...] = ()
    # The gateway's webhook brought a claim (its signature was checked), or we asked ourselves.
    from_webhook: bool = False


class OrderMissing(msgspec.Struct, frozen=True, gc=False):
    """The gateway does not know the order."""

    order_id: str


class OrderRefused(msgspec.Struct, frozen=True, gc=False):
    """A definite no: the order was not made and will not be."""

    code: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody knows: a time-out, a 5xx, an answer that cannot be read. It may have happened."""

    reason: str
    retry_after_seconds: float = 0.0


# The catalogue of failure reasons that mails, events and the API may show.
REASONS = frozenset(
    {
        "declined",
        "authentication_failed",
        "insufficient_funds",
        "limit_exceeded",
        "invalid_details",
        "bank_unavailable",
        "dropped_by_customer",
        "order_closed",
        "gateway_refused",
        "failed",
    }
)


def strongest(claims: list[Claim]) -> list[Claim]:
    """One claim for each attempt, the furthest one, in the order of first mention."""
    best: dict[str, Claim] = {}
    for claim in claims:
        known = best.get(claim.gateway_payment_id)
        if known is None or ATTEMPT_RANK[claim.status] > ATTEMPT_RANK[known.status]:
            best[claim.gateway_payment_id] = claim
    return list(best.values())
