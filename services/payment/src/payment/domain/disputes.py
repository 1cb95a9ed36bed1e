"""Disputes: what of a payment is at stake, what the gateway's view of one leads to, what is said of it and when.

A dispute is announced once its credits are held, and its end only after that: so a consumer of its end finds the
hold.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from common.errors import FailedPrecondition, NotFound
from common.money import Money
from gateways.disputes import DisputeSnapshot, DisputeStatus
from payment.domain.payments import Payment, returned_status
from payment.domain.pricing import Credits, Tax
from payment.domain.states import MOVES as PAYMENT_MOVES
from payment.domain.states import Status

PREFIX: Final = "dsp"
# An alert is raised when so much is left to answer.
DEADLINE_NOTICE: Final = timedelta(days=1)
# An open dispute is read again after this, should its webhooks be lost.
CHECK_AGAIN: Final = timedelta(hours=6)

D = DisputeStatus

# Every move a dispute may make; the database holds the same table as a CHECK on dispute_history.
MOVES: Final[Mapping[DisputeStatus, frozenset[DisputeStatus]]] = {
    D.OPEN: frozenset({D.UNDER_REVIEW, D.WON, D.LOST}),
    # The bank asks for more evidence.
    D.UNDER_REVIEW: frozenset({D.OPEN, D.WON, D.LOST}),
    D.WON: frozenset(),
    D.LOST: frozenset(),
}
assert MOVES.keys() == set(DisputeStatus), "every status needs its row, terminal ones an empty row"
ENDED: Final = frozenset({D.WON, D.LOST})


class Announced(StrEnum):
    """What the other services have heard of a dispute."""

    # The credits are about to be held.
    NONE = "NONE"
    DISPUTED = "DISPUTED"
    WON = "WON"
    LOST = "LOST"


class DisputeTransitionInvalid(FailedPrecondition):
    """The table of moves does not hold this one."""

    fix = "Read the dispute's status; this change is not possible in it."


class DisputeNotFound(NotFound):
    fix = "Check the dispute's id, and that it is one of your merchant's."


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """Unique by the gateway's id and its round: what was won may be disputed again under the same id."""

    id: UUID
    payment_id: UUID
    merchant_id: str
    gateway_account_id: str
    gateway_dispute_id: str
    round: int = 1
    status: DisputeStatus
    announced: Announced = Announced.NONE
    amount: Money
    tax: Tax
    credits: Credits
    reason_code: str = ""
    respond_by: datetime | None = None
    gateway_updated_at: datetime | None = None
    # None: the payment did not move.
    status_before: Status | None = None
    hold_id: str = ""
    # What the held credits carry as deferred revenue, in minor units.
    value_held: int = 0
    # What the gateway charges for a lost one.
    fee_minor: int = 0
    seq: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def is_open(self) -> bool:
        return self.status not in ENDED


class DisputeTransition(msgspec.Struct, frozen=True, gc=False):
    dispute_id: UUID
    seq: int
    from_status: DisputeStatus | None
    to_status: DisputeStatus
    at: datetime


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody has noted for the bank, and where the file lies that shows it; never the file."""

    id: UUID
    dispute_id: UUID
    note: str
    file_reference: str = ""
    actor_id: str
    at: datetime


class DisputeRecord(msgspec.Struct, frozen=True):
    dispute: Dispute
    evidence: tuple[Evidence, ...]


class EvidenceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """*merchant_id* None: an operator's."""

    dispute_id: UUID
    merchant_id: str | None
    note: str
    file_reference: str
    actor_id: str


class DisputeFilter(msgspec.Struct, frozen=True):
    merchant_id: str
    status: str | None
    before: UUID | None
    limit: int


class Change(msgspec.Struct):
    """What a snapshot leads to: the dispute as it is now, and its moves; counted while it is decided."""

    dispute: Dispute
    is_new: bool = False
    transitions: list[DisputeTransition] = []
    # Why somebody has to look, beside the arrival.
    contradiction: str = ""


def share(payment: Payment, amount: Money) -> tuple[Tax, Credits]:
    """What of the payment's price, tax and credits *amount* is, rounded down; the price takes the rest."""
    whole = payment.amount.minor

    def part(total: int) -> int:
        return min(total, total * amount.minor // whole)

    half, integrated = part(payment.tax.sgst.minor), part(payment.tax.igst.minor)
    net = amount.minor - 2 * half - integrated
    currency = amount.currency
    tax = Tax(
        net=Money(net, currency),
        cgst=Money(half, currency),
        sgst=Money(half, currency),
        igst=Money(integrated, currency),
    )
    return tax, Credits(part(payment.credits.paid), part(payment.credits.bonus))


def observe(
    payment: Payment, known: Sequence[Dispute], shown: DisputeSnapshot, now: datetime, new_id: Callable[[], UUID]
) -> Change | None:
    """Apply what the gateway shows of one dispute to those that are *known* under its id; None when nothing changes.

    An older snapshot changes nothing. What has ended stays so: one that was won and is open again is another round,
    anything else that contradicts an end is for a person.
    """
    latest = max(known, key=lambda dispute: dispute.round, default=None)
    if latest is None:
        return _begun(payment, shown, 1, now, new_id())
    if is_older(shown, latest):
        return None
    if latest.status is shown.status:
        facts = _with_facts(latest, shown, now)
        return Change(facts) if facts is not latest else None
    if latest.status is D.WON and shown.status not in ENDED:
        return _begun(payment, shown, latest.round + 1, now, new_id())
    if not latest.is_open:
        if latest.gateway_updated_at == shown.updated_at:
            return None
        seen = msgspec.structs.replace(latest, gateway_updated_at=shown.updated_at, updated_at=now)
        return Change(seen, contradiction=f"{latest.status} here, {shown.status} at the gateway")
    moved = move(_with_facts(latest, shown, now), shown.status, now)
    return Change(moved[0], transitions=[moved[1]])


def is_older(shown: DisputeSnapshot, known: Dispute) -> bool:
    if shown.updated_at is None or known.gateway_updated_at is None:
        return False
    return shown.updated_at < known.gateway_updated_at


def move(dispute: Dispute, to: DisputeStatus, now: datetime) -> tuple[Dispute, DisputeTransition]:
    """Raises DisputeTransitionInvalid."""
    if to not in MOVES[dispute.status]:
        raise DisputeTransitionInvalid(f"a dispute that is {dispute.status} cannot become {to}")
    seq = dispute.seq + 1
    moved = msgspec.structs.replace(dispute, status=to, seq=seq, updated_at=now)
    return moved, DisputeTransition(dispute.id, seq, dispute.status, to, now)


def disputed_status(payment: Payment) -> Status | None:
    """DISPUTED, where the payment may become so."""
    return Status.DISPUTED if Status.DISPUTED in PAYMENT_MOVES[payment.status] else None


def ended_status(
    payment: Payment, dispute: Dispute, others: Collection[Dispute], refunded_minor: int, *, is_settled: bool = False
) -> Status | None:
    """What the payment becomes when *dispute* has ended; None when it stays as it is.

    *refunded_minor* are its refunds that succeeded. Money that was lost went back as if it was refunded. A payment that
    *is_settled*, meanwhile or before, is SETTLED when nothing of it went back.
    """
    if payment.status is not Status.DISPUTED or any(other.is_open and other.id != dispute.id for other in others):
        return None
    lost = sum(
        each.amount.minor
        for each in {other.id: other for other in (*others, dispute)}.values()
        if each.status is D.LOST
    )
    before = dispute.status_before or Status.SUCCESS
    untouched = Status.SETTLED if is_settled and before is Status.SUCCESS else before
    return returned_status(payment, refunded_minor + lost, untouched)


def to_announce(dispute: Dispute) -> Announced | None:
    """What is to be said next of a dispute whose credits are held; None when all was said."""
    if dispute.announced is Announced.DISPUTED and not dispute.is_open:
        return Announced(dispute.status.value)
    return None


def _begun(payment: Payment, shown: DisputeSnapshot, round_: int, now: datetime, new_id: UUID) -> Change:
    tax, credits = share(payment, shown.amount)
    dispute = Dispute(
        id=new_id,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        gateway_account_id=payment.gateway_account_id,
        gateway_dispute_id=shown.gateway_dispute_id,
        round=round_,
        status=shown.status,
        amount=shown.amount,
        tax=tax,
        credits=credits,
        reason_code=shown.reason_code,
        respond_by=shown.respond_by,
        gateway_updated_at=shown.updated_at,
        created_at=now,
        updated_at=now,
    )
    return Change(dispute, is_new=True, transitions=[DisputeTransition(new_id, 1, None, shown.status, now)])


def _with_facts(dispute: Dispute, shown: DisputeSnapshot, now: datetime) -> Dispute:
    """The deadline, the reason and the time as the gateway shows them; the amount stays as it was first shown."""
    facts = msgspec.structs.replace(
        dispute,
        reason_code=shown.reason_code or dispute.reason_code,
        respond_by=shown.respond_by or dispute.respond_by,
        gateway_updated_at=shown.updated_at or dispute.gateway_updated_at,
    )
    return dispute if facts == dispute else msgspec.structs.replace(facts, updated_at=now)
