"""What was decided about a payment: its next state, what is recorded of attempts and captures, what is announced."""

from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from gateways import PaymentAttempt
from payment.domain.payments import Payment, Transition, move
from payment.domain.receipts import Receipt
from payment.domain.states import CaptureStatus, Status

# The actor of a move that the gateway's answer causes.
ACTOR = "service:payment"


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """Money that the gateway took for the decision's payment."""

    id: UUID
    attempt: PaymentAttempt
    status: CaptureStatus
    created_at: datetime
    # The gateway's own list showed it; otherwise a signed webhook named the attempt of an order that is paid.
    confirmed: bool = True


class Correction(msgspec.Struct, frozen=True, gc=False):
    """The attempt that the gateway lists takes the place of the one that a webhook claimed; often it is the same."""

    claimed_id: str
    attempt: PaymentAttempt

    @property
    def replaces(self) -> bool:
        return self.claimed_id != self.attempt.gateway_payment_id


class Moved(msgspec.Struct, frozen=True, gc=False):
    """The payment reached another status; use_cases.announcements decides what is announced."""

    payment: Payment
    before: Status
    at: datetime
    reason: str = ""
    transaction_id: UUID | None = None
    # The receipt whose money this success uses up.
    receipt_id: UUID | None = None


class Created(msgspec.Struct, frozen=True, gc=False):
    """The gateway's order exists: announced once, by whichever move takes the payment out of CREATED."""

    payment: Payment
    at: datetime


class Alerted(msgspec.Struct, frozen=True, gc=False):
    """A person must look at the payment; its status did not change."""

    payment: Payment
    cause: str
    detail: str
    at: datetime


class Corrected(msgspec.Struct, frozen=True, gc=False):
    """The attempt that a webhook named as the payer does not exist at the gateway, or did not pay."""

    payment: Payment
    claimed_id: str
    at: datetime


class Received(msgspec.Struct, frozen=True, gc=False):
    """The gateway took money that is no success (yet)."""

    payment: Payment
    receipt: Receipt
    at: datetime


class ReceiptRefunded(msgspec.Struct, frozen=True, gc=False):
    """What was left of *receipt*, before, went back: by a refund of ours, or by hand."""

    payment: Payment
    receipt: Receipt
    gateway_refund_id: str
    at: datetime
    refund_id: UUID | None = None


class ReceiptReturned(msgspec.Struct, frozen=True, gc=False):
    """*minor* of *receipt* had gone back by this refund, and came back: the gateway has it again, and it is owed."""

    payment: Payment
    receipt: Receipt
    minor: int
    refund_id: UUID
    at: datetime


class Held(msgspec.Struct, frozen=True, gc=False):
    """The payment is paid, and its grant waits for a person's verdict."""

    payment: Payment
    receipt: Receipt
    at: datetime


class Released(msgspec.Struct, frozen=True, gc=False):
    """The grant waits no longer: it is *granted*, or refused."""

    payment: Payment
    at: datetime
    granted: bool


Announcement: TypeAlias = (
    Created | Moved | Alerted | Corrected | Received | ReceiptRefunded | ReceiptReturned | Held | Released
)


class Decision(msgspec.Struct):
    """What was decided about one payment. Mutable: the rules fill it in one after the other."""

    payment: Payment
    attempts: list[PaymentAttempt] = []
    # The attempts are those of the gateway's own list.
    listed: bool = False
    transitions: list[Transition] = []
    transactions: list[Transaction] = []
    corrections: list[Correction] = []
    receipts: list[Receipt] = []
    # Of which something was applied or refunded.
    changed_receipts: list[Receipt] = []
    announcements: list[Announcement] = []
    # A webhook adds to what is recorded, so nothing was decided by it: the gateway's list has to be read.
    list_needed: bool = False
    # The payment is closed or quarantined, and is looked at on, in the closed payments' own schedule.
    watched: bool = False
    # Whose act it is.
    actor: str = ACTOR

    def moved(
        self,
        to: Status,
        reason: str,
        now: datetime,
        transaction_id: UUID | None = None,
        receipt_id: UUID | None = None,
    ) -> None:
        before = self.payment.status
        self.payment, transition = move(self.payment, to, reason=reason, actor=self.actor, now=now)
        self.transitions.append(transition)
        self.announcements.append(Moved(self.payment, before, now, reason, transaction_id, receipt_id))

    def update(self, **fields: object) -> None:
        self.payment = msgspec.structs.replace(self.payment, **fields)
