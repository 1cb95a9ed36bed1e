"""The refunds of locked payments while a batch is decided: what moved, and what is saved and announced of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Final
from uuid import UUID

import msgspec
from google.protobuf.message import Message
from msgspec.structs import replace

from common import ids, outbox
from common.database import Tx
from gateways.refunds import RefundSnapshot
from gateways.refunds import RefundStatus as GatewayStatus
from payment.domain import refund_schedule, reviews
from payment.domain import refunds as rules
from payment.domain.credit_notes import CreditNote, credit_note
from payment.domain.decisions import ACTOR, Decision, ReceiptReturned
from payment.domain.invoices import series
from payment.domain.payments import Payment, move
from payment.domain.receipt_refunds import OrderMoney
from payment.domain.receipts import Receipt, owed_again, refunding
from payment.domain.refund_takeovers import NotTakenOver, taken_over
from payment.domain.refunds import Refund, RefundStatus, RefundTransition
from payment.domain.review_queue import Case, ReviewAction
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import PAID, Review
from payment.store import disputes, receipts, refunds
from payment.store.credit_notes import add_credit_notes
from payment.store.invoices import advance_series, lock_series
from payment.use_cases import metrics
from payment.use_cases.announcements import messages_for
from payment.use_cases.decisions import DecisionSettings, save_decisions
from payment.wire import events, refund_events


class RefundSettings(msgspec.Struct, frozen=True, kw_only=True):
    """*policies* of merchants go before *policy*; the numbers of credit notes begin with *prefix*."""

    decisions: DecisionSettings
    prefix: str
    policy: SpentCreditsPolicy
    policies: Mapping[str, SpentCreditsPolicy] = {}

    def policy_of(self, merchant_id: str) -> SpentCreditsPolicy:
        return self.policies.get(merchant_id, self.policy)


# Why a refund of ours ends where the gateway gave the capture back already.
GIVEN_BACK: Final = "given_back_already"


class Observed(Enum):
    """What became of a refund that the gateway shows."""

    # It says nothing that was not known.
    KNOWN = auto()
    CHANGED = auto()
    # It fits nothing that is known of the payment now: a person was alerted.
    NOT_TAKEN_OVER = auto()


class _Reached(msgspec.Struct, frozen=True):
    """A refund reached a status; the payment as it is with that."""

    payment: Payment
    refund: Refund


class RefundBook:
    """The refunds of payments that the transaction holds locked. Filled in one refund after the other, then saved."""

    def __init__(
        self,
        payments: Mapping[UUID, Payment],
        of_payments: Mapping[UUID, Sequence[Refund]],
        receipts_of: Mapping[UUID, Sequence[Receipt]],
        lost_of: Mapping[UUID, int],
        now: datetime,
        settings: RefundSettings,
    ) -> None:
        self.now = now
        self._lost_of = lost_of
        self._settings = settings
        self._before = dict(payments)
        self._decisions = {key: Decision(payment, listed=True) for key, payment in payments.items()}
        self._refunds = {refund.id: refund for each in of_payments.values() for refund in each}
        self._stored = dict(self._refunds)
        self._receipts = {receipt.id: receipt for each in receipts_of.values() for receipt in each}
        self._transitions: list[RefundTransition] = []
        self._reached: list[_Reached] = []
        self.messages: list[Message] = []

    @classmethod
    async def open(
        cls, tx: Tx, payments: Mapping[UUID, Payment], now: datetime, settings: RefundSettings
    ) -> "RefundBook":
        """The book of *payments*, which *tx* holds locked."""
        of_payments = await refunds.refunds_of(tx, payments.keys())
        received = await receipts.receipts_of(tx, payments.keys())
        return cls(payments, of_payments, received, await disputes.lost(tx, payments.keys()), now, settings)

    def payment(self, payment_id: UUID) -> Payment:
        return self._decisions[payment_id].payment

    def refunds(self, payment_id: UUID) -> list[Refund]:
        """Of the payment and of its receipts, oldest first."""
        return [each for each in self._refunds.values() if each.payment_id == payment_id]

    def lost_minor(self, payment_id: UUID) -> int:
        """What of the payment disputes took that were lost."""
        return self._lost_of.get(payment_id, 0)

    def refund(self, refund_id: UUID) -> Refund:
        return self._refunds[refund_id]

    def receipts(self, payment_id: UUID) -> list[Receipt]:
        return [each for each in self._receipts.values() if each.payment_id == payment_id]

    def order(self, payment_id: UUID) -> OrderMoney:
        """All that the payment's order took and gave back."""
        return OrderMoney(
            payment=self.payment(payment_id),
            receipts=self.receipts(payment_id),
            refunds=self.refunds(payment_id),
            lost_minor=self.lost_minor(payment_id),
        )

    @property
    def added(self) -> list[Refund]:
        """Refunds that this transaction makes, as they are now."""
        return [refund for key, refund in self._refunds.items() if key not in self._stored]

    # ── What happens ─────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, refund: Refund) -> None:
        """A new refund. Raises ReceiptClosed, ReceiptRefundPending about its receipt."""
        if refund.receipt_id is not None:
            self.put_receipt(refunding(self._receipts[refund.receipt_id], refund.id))
        self._refunds[refund.id] = refund
        self._transitions.append(rules.begun(refund))
        self._reached.append(_Reached(self.payment(refund.payment_id), refund))

    def update(self, refund: Refund) -> None:
        """Facts about a refund; no move."""
        self._refunds[refund.id] = refund

    def move(self, refund: Refund, to: RefundStatus, reason: str) -> Refund:
        """The refund in its next state, and the payment in the one that follows. Raises RefundTransitionInvalid."""
        moved, transition = rules.move(refund, to, reason=reason, actor=ACTOR, now=self.now)
        if to is RefundStatus.SUCCESS:
            moved = replace(moved, succeeded_at=self.now)
        elif to is RefundStatus.FAILED:
            moved = replace(moved, failure_reason=reason)
        moved = replace(moved, next_check_at=refund_schedule.first_check_after(moved, self.now))
        self._refunds[moved.id] = moved
        self._transitions.append(transition)
        if moved.receipt_id is None:
            self._follow(moved.payment_id, reason)
        elif to is RefundStatus.SUCCESS:
            self._give_back(moved)
        else:
            self._owe_again(moved)
        self._reached.append(_Reached(self.payment(moved.payment_id), moved))
        return moved

    def observe(self, payment_id: UUID, snapshot: RefundSnapshot) -> Observed:
        """Apply what the gateway shows of one refund of the payment's order."""
        payment = self.payment(payment_id)
        refund = next((each for each in self.refunds(payment_id) if rules.matches(each, snapshot)), None)
        if refund is None:
            return self._take_over(payment, snapshot)
        if snapshot.amount != refund.amount:
            detail = f"the refund is over {refund.amount}, at the gateway over {snapshot.amount}"
            self.alert(payment, "refund_amount_mismatch", detail, refund)
            return Observed.KNOWN
        known = rules.with_facts(refund, snapshot)
        self._refunds[known.id] = known
        if (known.status, snapshot.status) in rules.CONTRADICTIONS:
            self.alert(payment, "refund_contradicted", f"it had {known.status}; the gateway says success now", known)
        moves = rules.FOLLOWS.get((known.status, snapshot.status), ())
        for to in moves:
            reason = "gateway_failed" if to is RefundStatus.FAILED else snapshot.status.lower()
            known = self.move(known, to, reason)
        return Observed.KNOWN if known is refund else Observed.CHANGED

    def alert(self, payment: Payment, cause: str, detail: str, refund: Refund | None = None) -> None:
        fields = {"refundId": refund.text_id} if refund else {}
        self.messages.append(refund_events.alert(payment, cause, detail, self.now, **fields))

    def _take_over(self, payment: Payment, snapshot: RefundSnapshot) -> Observed:
        """A refund that was made in the gateway's dashboard, or by the gateway, becomes one of ours."""
        policy = self._settings.policy_of(payment.merchant_id)
        found = taken_over(
            payment, self.refunds(payment.id), self.receipts(payment.id), snapshot, policy, ids.new(), self.now
        )
        if isinstance(found, NotTakenOver):
            detail = f"the gateway's refund {snapshot.gateway_refund_id} over {snapshot.amount}: {found.reason}"
            self.alert(payment, "refund_not_taken_over", detail)
            return Observed.NOT_TAKEN_OVER
        if found is None:
            return Observed.KNOWN
        self.add(found)
        if found.status is RefundStatus.PROCESSING and snapshot.status is GatewayStatus.SUCCESS:
            self.move(found, RefundStatus.SUCCESS, "success")
        return Observed.CHANGED

    def _follow(self, payment_id: UUID, reason: str) -> None:
        """The payment's status is what its refunds say."""
        decision = self._decisions[payment_id]
        status = rules.refunded_status(decision.payment, self.refunds(payment_id), self.lost_minor(payment_id))
        if status is not decision.payment.status:
            decision.payment, transition = move(
                decision.payment, status, reason=f"refund_{reason}", actor=ACTOR, now=self.now
            )
            decision.transitions.append(transition)

    def _give_back(self, refund: Refund) -> None:
        assert refund.receipt_id is not None
        receipt, decision = self._receipts[refund.receipt_id], self._decisions[refund.payment_id]
        case = Case(decision.payment, tuple(self.receipts(refund.payment_id)))
        verdict = decision.payment.fraud_review
        gateway_refund_id = refund.gateway_refund_id or refund.text_id
        reviews.give_back(decision, case, receipt, gateway_refund_id, self.now, refund.id)
        self._receipts[receipt.id] = decision.changed_receipts[-1]
        if decision.payment.fraud_review is not verdict:
            # The money of a flagged payment went back in the dashboard: it is refused, and fraud's review is over.
            told = events.review_decided(decision.payment, ReviewAction.REFUNDED, refund.requested_by, self.now)
            self.messages.append(told)

    def _owe_again(self, refund: Refund) -> None:
        """The refund of a receipt failed, or came back: its money waits for a person."""
        assert refund.receipt_id is not None
        receipt, decision = self._receipts[refund.receipt_id], self._decisions[refund.payment_id]
        if receipt.refunded_minor and receipt.is_booked:
            returned = ReceiptReturned(decision.payment, receipt, receipt.refunded_minor, refund.id, self.now)
            decision.announcements.append(returned)
            if decision.payment.status not in PAID and decision.payment.review is Review.DISMISSED:
                # There is money to decide about again.
                decision.update(review=Review.QUARANTINED, updated_at=self.now)
        self.put_receipt(owed_again(receipt))

    def put_receipt(self, receipt: Receipt) -> None:
        self._receipts[receipt.id] = receipt
        self._decisions[receipt.payment_id].changed_receipts.append(receipt)

    # ── What is saved and announced ──────────────────────────────────────────────────────────────────────────────

    async def save(self, tx: Tx) -> None:
        """Save what changed, and announce it."""
        added = self.added
        changed = [each for key, each in self._refunds.items() if key in self._stored and each is not self._stored[key]]
        # What ended makes room for what is taken over in its place.
        await refunds.save(tx, changed)
        await refunds.add(tx, added)
        await refunds.add_history(tx, self._transitions)
        decisions = [
            decision
            for decision in self._decisions.values()
            if decision.transitions or decision.changed_receipts or decision.announcements
        ]
        if decisions:
            await save_decisions(tx, decisions, self._before, self.now, self._settings.decisions)
        for receipt in {each.id: each for decision in decisions for each in decision.changed_receipts}.values():
            if not receipt.is_refunding:
                await receipts.mark_transaction(tx, receipt)
        notes = await self._issue_credit_notes(tx)
        messages = [message for each in self._reached for message in self._announced(each, notes)]
        messages += messages_for(decisions, self._settings.decisions.public_url) + self.messages
        await outbox.append(tx, messages)
        metrics.moved(decisions, self.now)
        for each in self._reached:
            metrics.refund_reached(each.refund, self.now)

    async def _issue_credit_notes(self, tx: Tx) -> dict[UUID, CreditNote]:
        """One for each refund of a payment that succeeded now; the series is locked after the payments."""
        succeeded = [
            each
            for each in self._reached
            if each.refund.status is RefundStatus.SUCCESS and each.refund.receipt_id is None
        ]
        if not succeeded:
            return {}
        name = series(self._settings.prefix, self.now)
        last = await lock_series(tx, {(each.refund.merchant_id, name) for each in succeeded})
        notes = {}
        for payment, refund in ((each.payment, each.refund) for each in succeeded):
            number = last[refund.merchant_id, name] + 1
            notes[refund.id] = credit_note(payment, refund, name, number, ids.new(), self.now)
            last[refund.merchant_id, name] = number
        await add_credit_notes(tx, list(notes.values()))
        await advance_series(tx, last)
        return notes

    def _announced(self, reached: _Reached, notes: Mapping[UUID, CreditNote]) -> list[Message]:
        payment, refund, at = reached.payment, reached.refund, self.now
        if refund.receipt_id is not None:
            return self._announced_of_receipt(payment, refund)
        match refund.status:
            case RefundStatus.INITIATED:
                return [refund_events.created(refund, at), refund_events.analytics_created(payment, refund, at)]
            case RefundStatus.SUCCESS:
                note = notes[refund.id]
                messages: list[Message] = [refund_events.refunded(payment, refund, note, at)]
                if payment.customer.email:
                    expected = refund_schedule.expected_date(payment.method, refund.speed, at)
                    messages.append(refund_events.mail_refunded(payment, refund, note, expected, at))
                return messages
            case RefundStatus.FAILED:
                detail = f"its refund over {refund.amount} failed: {refund.failure_reason}"
                alert = refund_events.alert(payment, "refund_failed", detail, at, refundId=refund.text_id)
                return [refund_events.failed(payment, refund, at), alert]
            case RefundStatus.REVERSED:
                detail = f"its refund over {refund.amount} came back from the customer's bank"
                alert = refund_events.alert(payment, "refund_reversed", detail, at, refundId=refund.text_id)
                return [refund_events.reversed_(payment, refund, at), alert]
            case RefundStatus.PROCESSING:
                return []

    def _announced_of_receipt(self, payment: Payment, refund: Refund) -> list[Message]:
        """The books hear of `payment.receipt.refunded`; what goes wrong a person has to know."""
        if refund.status not in (RefundStatus.FAILED, RefundStatus.REVERSED) or refund.failure_reason == GIVEN_BACK:
            return []
        cause = "receipt_refund_failed" if refund.status is RefundStatus.FAILED else "refund_reversed"
        detail = f"the refund of a receipt over {refund.amount} is {refund.status}: {refund.failure_reason}"
        return [refund_events.alert(payment, cause, detail, self.now, refundId=refund.text_id)]
