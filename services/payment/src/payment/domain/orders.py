"""An order at its gateway, as far as it is known at one moment."""

from collections.abc import Iterable

import msgspec

from gateways import AttemptStatus, OrderSnapshot, OrderStatus, PaymentAttempt

# An attempt's rank only rises, in whatever order its webhooks come. A failed one may still succeed, never the reverse.
ATTEMPT_RANK: dict[AttemptStatus, int] = {status: rank for rank, status in enumerate(AttemptStatus)}


class OrderKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """What identifies an order: its id is unique within its gateway account only."""

    gateway_account_id: str
    order_id: str


class CheckoutProof(msgspec.Struct, frozen=True, gc=False):
    """What a gateway's checkout hands to the browser: its ids of the order and the payment, signed together."""

    gateway_order_id: str
    gateway_payment_id: str
    signature: str


class ObservedOrder(msgspec.Struct, frozen=True):
    """The gateway's own snapshot of an order, and its attempts: as the gateway lists them, or webhooks claim."""

    snapshot: OrderSnapshot
    # From webhooks with a valid signature. They count only where the list was not read (see needs_list).
    claims: tuple[PaymentAttempt, ...] = ()
    # The gateway's own list, complete; None when it was not read.
    listed: tuple[PaymentAttempt, ...] | None = None

    @property
    def attempts(self) -> list[PaymentAttempt]:
        """One report for each attempt: of the list where there is one, of the claims otherwise."""
        return highest_ranked(self.claims if self.listed is None else self.listed)


def needs_list(snapshot: OrderSnapshot, claims: Iterable[PaymentAttempt]) -> bool:
    """Whether the gateway's list of attempts has to be read before anything is decided.

    The list is the scarce call (Cashfree: a quarter of the quota for order reads). It is left out when nobody claims to
    have paid an open order that the gateway itself will close, and when one attempt claims to have paid exactly the
    amount of an order that the gateway itself shows as paid. Of an order that stays open the attempts alone say whether
    money is on its way.
    """
    successes = [claim for claim in claims if claim.status is AttemptStatus.SUCCESS]
    if snapshot.status is not OrderStatus.PAID:
        return bool(successes) or snapshot.stays_open
    payers = {claim.gateway_payment_id for claim in successes}
    return len(payers) != 1 or any(
        claim.amount != snapshot.amount or claim.order_amount not in (None, snapshot.amount) for claim in successes
    )


def highest_ranked(attempts: Iterable[PaymentAttempt]) -> list[PaymentAttempt]:
    """One report for each attempt, the furthest one, in the order of first mention."""
    furthest: dict[str, PaymentAttempt] = {}
    for attempt in attempts:
        known = furthest.get(attempt.gateway_payment_id)
        if known is None or ATTEMPT_RANK[attempt.status] > ATTEMPT_RANK[known.status]:
            furthest[attempt.gateway_payment_id] = attempt
    return list(furthest.values())


def successes(attempts: Iterable[PaymentAttempt]) -> list[PaymentAttempt]:
    return [attempt for attempt in attempts if attempt.status is AttemptStatus.SUCCESS]
