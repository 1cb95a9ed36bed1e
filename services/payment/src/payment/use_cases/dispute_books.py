"""Apply what gateways show of disputes: save them, move their payments, have their credits held, announce.

The hold is an intent. A dispute is announced by the transaction that records its hold, and its end not before.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx
from common.intents import Intent, Intents
from common.runtime import Workers
from gateways.disputes import DisputeSnapshot, DisputeStatus
from payment.domain import disputes
from payment.domain.decisions import ACTOR
from payment.domain.disputes import PREFIX, Announced, Dispute
from payment.domain.payments import Payment, Transition, move
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import PAID, Status
from payment.gateways.wallet import CreditHold, HoldOrder, WalletHolds
from payment.store import commands
from payment.store import disputes as store
from payment.wire import dispute_events

# Nobody waits for it, and an outage may last: at most so long between two tries.
BACKOFF_SECONDS_MAX: Final = 300

_encode = msgspec.json.Encoder().encode
_hold_order = msgspec.json.Decoder(HoldOrder).decode

Shown: TypeAlias = Mapping[UUID, Sequence[DisputeSnapshot]]


class DisputeBooks:
    """*fee_minor* is what a gateway charges for a dispute that is lost."""

    def __init__(self, db: Database, clock: Clock, wallet: WalletHolds, fee_minor: int) -> None:
        self._clock = clock
        self._wallet = wallet
        self._fee_minor = fee_minor
        self.holds: Intents[CreditHold] = Intents(
            db, "hold_dispute", self._hold, self._record_holds, pause_seconds_max=BACKOFF_SECONDS_MAX
        )

    @property
    def workers(self) -> Workers:
        return Workers(intents=(self.holds,))

    async def apply(self, tx: Tx, payments: Mapping[UUID, Payment], shown: Shown) -> dict[UUID, list[Dispute]]:
        """Apply what the gateway shows of these locked payments' disputes; all their disputes as they are now."""
        now = self._clock.now()
        work = await _Work.open(tx, payments, now, self._fee_minor)
        for payment_id in sorted(shown):
            for snapshot in shown[payment_id]:
                work.observe(payment_id, snapshot)
        await work.save(tx)
        orders = {
            dispute.id: _encode(
                HoldOrder.of(
                    f"dispute:{ids.encode(PREFIX, dispute.id)}",
                    work.payments[dispute.payment_id],
                    dispute.credits,
                    SpentCreditsPolicy.ABSORB,
                )
            )
            for dispute in work.begun
        }
        if orders:
            await self.holds.record(tx, orders)
        return work.disputes

    async def _hold(self, intent: Intent) -> CreditHold:
        return await self._wallet.hold(_hold_order(intent.payload))

    async def _record_holds(self, tx: Tx, outcomes: Sequence[tuple[Intent, CreditHold]]) -> None:
        payment_ids = (await store.payments_of(tx, [intent.id for intent, _ in outcomes])).values()
        payments = await commands.lock_payments(tx, set(payment_ids))
        work = await _Work.open(tx, payments, self._clock.now(), self._fee_minor)
        for intent, hold in outcomes:
            work.record_hold(intent.id, hold)
        await work.save(tx)


class _Work:
    """One transaction's changes, on payments that it holds locked."""

    def __init__(
        self,
        payments: Mapping[UUID, Payment],
        known: Mapping[UUID, Sequence[Dispute]],
        refunded: Mapping[UUID, int],
        settled: Collection[UUID],
        now: datetime,
        fee_minor: int,
    ) -> None:
        self.payments = dict(payments)
        self.disputes = {payment_id: list(known.get(payment_id, ())) for payment_id in payments}
        self.begun: list[Dispute] = []
        self._refunded = refunded
        self._settled = settled
        self._now = now
        self._fee_minor = fee_minor
        self._changed: dict[UUID, Dispute] = {}
        self._transitions: list[disputes.DisputeTransition] = []
        self._moved: set[UUID] = set()
        self._payment_transitions: list[Transition] = []
        self._messages: list[Message] = []

    @classmethod
    async def open(cls, tx: Tx, payments: Mapping[UUID, Payment], now: datetime, fee_minor: int) -> "_Work":
        """Of *payments*, which *tx* holds locked."""
        known = await store.of_payments(tx, payments)
        refunded = await store.refunded(tx, payments) if payments else {}
        return cls(payments, known, refunded, await store.settled(tx, payments), now, fee_minor)

    def observe(self, payment_id: UUID, shown: DisputeSnapshot) -> None:
        payment = self.payments[payment_id]
        if problem := _mismatch(payment, shown):
            self._messages.append(dispute_events.mismatch_alert(payment, shown, problem, self._now))
            return
        own = [each for each in self.disputes[payment_id] if each.gateway_dispute_id == shown.gateway_dispute_id]
        change = disputes.observe(payment, own, shown, self._now, ids.new)
        if change is None:
            return
        dispute = self._arrive(payment, change.dispute) if change.is_new else change.dispute
        if dispute.status is DisputeStatus.LOST and change.transitions:
            dispute = msgspec.structs.replace(dispute, fee_minor=self._fee_minor)
        self._transitions += change.transitions
        if change.contradiction:
            self._messages.append(dispute_events.contradiction_alert(dispute, change.contradiction, self._now))
        if change.transitions:
            self._messages.append(dispute_events.audit(dispute, change.transitions[-1], self._now))
        self._put(self._announce_end(dispute))

    def record_hold(self, dispute_id: UUID, hold: CreditHold) -> None:
        """The credits are held: the dispute is announced, and its end, if it has ended meanwhile."""
        dispute = next(each for own in self.disputes.values() for each in own if each.id == dispute_id)
        if dispute.announced is not Announced.NONE:
            return
        held = msgspec.structs.replace(
            dispute,
            hold_id=hold.hold_id,
            value_held=hold.value.minor,
            announced=Announced.DISPUTED,
            seq=dispute.seq,
            updated_at=self._now,
        )
        self._messages.append(dispute_events.disputed(self.payments[held.payment_id], held, self._now))
        self._put(self._announce_end(held))

    def _arrive(self, payment: Payment, dispute: Dispute) -> Dispute:
        open_before = [each for each in self.disputes[payment.id] if each.is_open and each.status_before]
        status_before = open_before[0].status_before if open_before else None
        if disputes.disputed_status(payment) is not None:
            status_before = payment.status
            self._move(payment, Status.DISPUTED, "disputed")
        dispute = msgspec.structs.replace(dispute, status_before=status_before)
        self.begun.append(dispute)
        self._messages.append(dispute_events.arrival_alert(dispute, self._now))
        return dispute

    def _announce_end(self, dispute: Dispute) -> Dispute:
        """Say that it has ended, once its beginning was said; the payment moves with it."""
        end = disputes.to_announce(dispute)
        if end is None:
            return dispute
        payment = self.payments[dispute.payment_id]
        others = [each for each in self.disputes[payment.id] if each.id != dispute.id]
        status = disputes.ended_status(
            payment,
            dispute,
            others,
            self._refunded.get(payment.id, 0),
            is_settled=payment.id in self._settled,
        )
        if status is not None:
            payment = self._move(payment, status, f"dispute_{end.lower()}")
        told = msgspec.structs.replace(dispute, announced=end, updated_at=self._now)
        event = dispute_events.won if end is Announced.WON else dispute_events.lost
        self._messages.append(event(payment, told, self._now))
        return told

    def _move(self, payment: Payment, to: Status, reason: str) -> Payment:
        moved, transition = move(payment, to, reason=reason, actor=ACTOR, now=self._now)
        self.payments[payment.id] = moved
        self._moved.add(payment.id)
        self._payment_transitions.append(transition)
        return moved

    def _put(self, dispute: Dispute) -> None:
        own = self.disputes[dispute.payment_id]
        self.disputes[dispute.payment_id] = [each for each in own if each.id != dispute.id] + [dispute]
        self._changed[dispute.id] = dispute

    async def save(self, tx: Tx) -> None:
        await commands.save_payments(tx, [self.payments[payment_id] for payment_id in sorted(self._moved)])
        await commands.add_history(tx, self._payment_transitions)
        await store.save(tx, [self._changed[dispute_id] for dispute_id in sorted(self._changed)], self._transitions)
        await outbox.append(tx, self._messages)


def _mismatch(payment: Payment, shown: DisputeSnapshot) -> str:
    """Why this dispute is none of the payment's success; a person has to look at it. Empty when it is."""
    if payment.status not in PAID:
        return "payment_not_paid"
    if shown.gateway_payment_id and shown.gateway_payment_id != payment.gateway_payment_id:
        return "another_capture"
    if shown.amount.currency != payment.amount.currency or not shown.amount.minor:
        return "another_currency"
    return ""


def open_payments(all_disputes: Mapping[UUID, Collection[Dispute]]) -> set[UUID]:
    """Those with a dispute that has not ended, or whose end may still be followed by another round."""
    return {payment_id for payment_id, own in all_disputes.items() if any(dispute.is_open for dispute in own)}
