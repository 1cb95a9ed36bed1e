"""States and the moves between them. What is not in a table cannot happen."""

from enum import StrEnum


class Status(StrEnum):
    CREATED = "CREATED"
    PENDING = "PENDING"
    AUTHORIZING = "AUTHORIZING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    SETTLED = "SETTLED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    DISPUTED = "DISPUTED"


S = Status

# Every move a payment may make; the database holds the same table as a CHECK on payment_history.
MOVES: dict[Status, frozenset[Status]] = {
    # SUCCESS without PENDING: the webhook, verify or the sweep may win over the create response.
    # CREATED again: no order was made, and another gateway account is to make it.
    S.CREATED: frozenset({S.CREATED, S.PENDING, S.SUCCESS, S.FAILED, S.EXPIRED, S.CANCELLED}),
    S.PENDING: frozenset({S.AUTHORIZING, S.PROCESSING, S.SUCCESS, S.FAILED, S.EXPIRED, S.CANCELLED}),
    # Back to PENDING: one attempt was dropped while the order stays open for the next.
    S.AUTHORIZING: frozenset({S.PENDING, S.PROCESSING, S.SUCCESS, S.FAILED, S.EXPIRED, S.CANCELLED}),
    # No CANCELLED: money may be on its way.
    S.PROCESSING: frozenset({S.PENDING, S.SUCCESS, S.FAILED, S.EXPIRED}),
    # A late success is a success; what then happens to it is policy.
    S.FAILED: frozenset({S.SUCCESS}),
    S.EXPIRED: frozenset({S.SUCCESS}),
    S.CANCELLED: frozenset({S.SUCCESS}),
    S.SUCCESS: frozenset({S.SETTLED, S.PARTIALLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
    S.SETTLED: frozenset({S.PARTIALLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
    S.PARTIALLY_REFUNDED: frozenset({S.REFUNDED, S.DISPUTED, S.SUCCESS}),
    S.REFUNDED: frozenset({S.PARTIALLY_REFUNDED, S.SUCCESS}),
    # Won: the state before; lost: the money went back.
    S.DISPUTED: frozenset({S.SUCCESS, S.SETTLED, S.PARTIALLY_REFUNDED, S.REFUNDED}),
}
assert MOVES.keys() == set(Status), "every status needs its row, terminal ones an empty row"

# The gateway has not said yes or no yet; the sweeper asks about these.
UNRESOLVED = frozenset({S.CREATED, S.PENDING, S.AUTHORIZING, S.PROCESSING})
# Nobody paid, and the order is closed.
CLOSED_UNPAID = frozenset({S.FAILED, S.EXPIRED, S.CANCELLED})
# The money is ours, or was.
PAID = frozenset(Status) - UNRESOLVED - CLOSED_UNPAID


class LateSuccessPolicy(StrEnum):
    """What a success after FAILED, EXPIRED or CANCELLED leads to: it is granted, held for a person, or given back."""

    FULFIL = "fulfil"
    REVIEW = "review"
    REFUND = "refund"


class SecondCapturePolicy(StrEnum):
    """What becomes of a second capture of a paid payment: it is given back, or left to a person."""

    REFUND = "refund"
    REVIEW = "review"


class CaptureStatus(StrEnum):
    """A transaction: money that the gateway took."""

    CAPTURED = "CAPTURED"
    # A second capture on a paid order; it is to be refunded and never granted.
    DUPLICATE = "DUPLICATE"
    # A second capture that went back.
    REFUNDED = "REFUNDED"


class FraudReview(StrEnum):
    """What fraud's rules, or a person who reviewed them, say about a payment."""

    NONE = "NONE"
    FLAGGED = "FLAGGED"
    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"


class Review(StrEnum):
    """Whether a person has to look at a payment, or has: fraud's verdict, unless a quarantine goes before it."""

    NONE = "NONE"
    FLAGGED = "FLAGGED"
    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"
    QUARANTINED = "QUARANTINED"
    # A person closed the quarantine; the same cause without new money does not open it again.
    DISMISSED = "DISMISSED"


class HoldPolicy(StrEnum):
    """What happens to the grant of a payment that the rules flagged: it waits for a person's verdict, or is made.

    A payment that a person blocked is granted under neither.
    """

    REVIEW = "review"
    OFF = "off"
