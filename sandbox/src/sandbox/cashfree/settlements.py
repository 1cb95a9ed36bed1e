"""Settlements: what was paid, given back and disputed on a day in India reaches the bank on the next one (T+1).

What is due is found when somebody asks, or on command. Faults make what is reported differ from what happened.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sandbox.cashfree.accounts import Account
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.disputes import WON
from sandbox.cashfree.domain import Dispute, Event, Order, Payment, Refund, Settlement
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.cashfree.settlement_entities import webhook
from sandbox.clock import now
from sandbox.settling import Fees, RowFault, due_until

_ALL = 1 << 40
WEBHOOKS = {
    "PENDING": "SETTLEMENT_INITIATED",
    "SUCCESS": "SETTLEMENT_SUCCESS",
    "FAILED": "SETTLEMENT_FAILED",
    "REVERSED": "SETTLEMENT_REVERSED",
}


class Settlements:
    """All settlements, oldest first."""

    def __init__(self, orders: OrderRegistry, announcer: Announcer, fees: Fees) -> None:
        self._orders = orders
        self._announcer = announcer
        self.fees = fees
        self._all: list[Settlement] = []
        self._settled_until: dict[str, int] = {}

    def of_account(self, account: Account) -> list[Settlement]:
        """An account's settlements, oldest first, those that the clock says are due included."""
        until = due_until(days=1)
        if until > self._settled_until.get(account.app_id, 0):
            self._settled_until[account.app_id] = until
            self.settle(account, until)
        return [each for each in self._all if each.account is account]

    def settle(
        self,
        account: Account,
        until: int | None = None,
        *,
        order_ids: Iterable[str] = (),
        faults: Sequence[RowFault] = (),
        status: str = "SUCCESS",
        adjustment_paise: int = 0,
    ) -> Settlement | None:
        """A settlement of all that happened to an account's orders (to these) before *until* and is in none yet; None
        when that is nothing. Raises Refused."""
        chosen = [self._orders.order(order_id, account) for order_id in order_ids] or self._orders.all(account)
        late = {fault.order_id for fault in faults if fault.kind == "late"}
        events = [
            event
            for order in chosen
            if order.order_id not in late
            for event in self._take_events(order, _ALL if until is None else until)
        ]
        events = [each for event in events for each in _distorted(event, faults, self._orders)]
        events += [self._foreign(fault) for fault in faults if fault.kind == "foreign"]
        if not events and not adjustment_paise:
            return None
        settlement = Settlement(
            account=account,
            cf_settlement_id=self._orders.next_id(),
            status="PENDING",
            initiated_at=now(),
            events=events,
        )
        self._all.append(settlement)
        if adjustment_paise:
            settlement.events.append(self._adjustment(adjustment_paise))
        self.move(settlement, status)
        return settlement

    def move(self, settlement: Settlement, status: str, adjustment_paise: int = 0) -> None:
        """Give it a status, and correct it by an adjustment; a payout that is tried again has another UTR."""
        if adjustment_paise:
            settlement.events.append(self._adjustment(adjustment_paise))
        if status == "SUCCESS" and (settlement.status != "SUCCESS" or not settlement.utr):
            settlement.utr = str(self._orders.next_id())
            settlement.processed_at = now()
        settlement.status = status
        notify_url = next(
            (order.notify_url for event in settlement.events if (order := self._orders.find(event.order_id))), ""
        )
        self._announcer.settlement(settlement.account, WEBHOOKS[status], webhook(settlement), notify_url)

    def of(self, cf_settlement_id: str) -> Settlement | None:
        return next((each for each in self._all if str(each.cf_settlement_id) == cf_settlement_id), None)

    def clear(self) -> None:
        """Forget every settlement."""
        self._all.clear()
        self._settled_until.clear()

    def _take_events(self, order: Order, until: int) -> Iterator[Event]:
        """What happened to an order before *until* and is in no settlement, marked as settled."""
        for payment in order.captured():
            if not payment.settled and (payment.completed_at or 0) < until:
                payment.settled = True
                yield self._paid(order.order_id, payment)
        for refund in order.refunds:
            if refund.processed_at is not None and refund.processed_at < until and not refund.settled:
                refund.settled = True
                yield _refunded(refund, "REFUND", refund.processed_at)
            reversed_at = refund.reversed_at
            if reversed_at is not None and reversed_at < until and refund.settled and not refund.reversal_settled:
                refund.reversal_settled = True
                yield _refunded(refund, "REFUND_REVERSAL", reversed_at)
        for dispute in order.disputes:
            if not dispute.settled and dispute.created_at < until:
                dispute.settled = True
                yield _disputed(dispute, "DISPUTE", dispute.created_at)
            if dispute.step == WON and dispute.updated_at < until and not dispute.reversal_settled:
                dispute.reversal_settled = True
                yield _disputed(dispute, "DISPUTE_REVERSAL", dispute.updated_at)

    def _paid(self, order_id: str, payment: Payment) -> Event:
        fee, tax = self.fees.of(payment.amount_paise)
        return Event(
            event_id=str(payment.cf_payment_id),
            event_type="PAYMENT",
            sale_type="CREDIT",
            amount_paise=payment.amount_paise,
            currency=payment.currency,
            time=payment.completed_at or 0,
            order_id=order_id,
            cf_payment_id=payment.cf_payment_id,
            fee_paise=fee,
            tax_paise=tax,
        )

    def _adjustment(self, amount_paise: int) -> Event:
        sale_type = "CREDIT" if amount_paise > 0 else "DEBIT"
        return Event(str(self._orders.next_id()), "OTHER_ADJUSTMENT", sale_type, abs(amount_paise), "INR", now())

    def _foreign(self, fault: RowFault) -> Event:
        payment_id = self._orders.next_id()
        fee, tax = self.fees.of(fault.amount_paise)
        return Event(
            event_id=str(payment_id),
            event_type="PAYMENT",
            sale_type="CREDIT",
            amount_paise=fault.amount_paise,
            currency="INR",
            time=now(),
            order_id=fault.order_id or f"order_{payment_id}",
            cf_payment_id=payment_id,
            fee_paise=fee,
            tax_paise=tax,
        )


def _refunded(refund: Refund, event_type: str, at: int) -> Event:
    return Event(
        event_id=str(refund.cf_refund_id),
        event_type=event_type,
        sale_type="DEBIT" if event_type == "REFUND" else "CREDIT",
        amount_paise=refund.amount_paise,
        currency=refund.currency,
        time=at,
        order_id=refund.order_id,
        cf_payment_id=refund.cf_payment_id,
        refund_id=refund.refund_id,
    )


def _disputed(dispute: Dispute, event_type: str, at: int) -> Event:
    return Event(
        event_id=str(dispute.dispute_id),
        event_type=event_type,
        sale_type="DEBIT" if event_type == "DISPUTE" else "CREDIT",
        amount_paise=dispute.amount_paise,
        currency=dispute.currency,
        time=at,
        order_id=dispute.order_id,
        cf_payment_id=dispute.cf_payment_id,
    )


def _distorted(event: Event, faults: Sequence[RowFault], orders: OrderRegistry) -> list[Event]:
    """The rows that report the event: none, itself, itself twice or another."""
    rows = [event]
    if event.event_type != "PAYMENT":
        return rows
    for fault in faults:
        if fault.order_id != event.order_id:
            continue
        match fault.kind:
            case "missing":
                return []
            case "doubled":
                rows.append(msgspec.structs.replace(event, event_id=str(orders.next_id())))
            case "amount":
                event.amount_paise += fault.amount_paise
            case "fee":
                event.fee_paise += fault.amount_paise
            case "currency":
                event.currency = "USD"
            case "utr":
                event.utr = str(orders.next_id())
    return rows
