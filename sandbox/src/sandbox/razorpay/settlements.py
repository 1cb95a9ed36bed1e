"""Settlements: what an account's payments, refunds and disputes came to reaches its bank two days later (T+2).

What is due is found when somebody asks, or on command. Faults make what is reported differ from what happened.
"""

from collections.abc import Iterator, Sequence

import msgspec

from sandbox.clock import now
from sandbox.razorpay import settlement_entities
from sandbox.razorpay.accounts import Account
from sandbox.razorpay.announcer import Announcer
from sandbox.razorpay.domain import Order, Payment, Row, Settlement
from sandbox.razorpay.ids import bank_reference, new_id
from sandbox.razorpay.order_registry import OrderRegistry
from sandbox.settling import Fees, RowFault, due_until

_ALL = 1 << 40
_DAYS = 2


class Settlements:
    """All settlements of all accounts, oldest first."""

    def __init__(self, orders: OrderRegistry, announcer: Announcer, fees: Fees) -> None:
        self._orders = orders
        self._announcer = announcer
        self._fees = fees
        self._settled_until: dict[str, int] = {}
        self._all: list[Settlement] = []

    def of_account(self, account: Account) -> list[Settlement]:
        """An account's settlements, oldest first, those that the clock says are due included."""
        until = due_until(_DAYS)
        if until > self._settled_until.get(account.key_id, 0):
            self._settled_until[account.key_id] = until
            self.settle(account, self._orders.all(account), until)
        return [each for each in self._all if each.account is account]

    def settle(
        self,
        account: Account,
        orders: Sequence[Order],
        until: int | None = None,
        *,
        faults: Sequence[RowFault] = (),
        status: str = "processed",
        adjustment: int = 0,
    ) -> Settlement | None:
        """A settlement of what happened to *orders* before *until* and is in none yet; None when that is nothing."""
        late = {fault.order_id for fault in faults if fault.kind == "late"}
        rows = [
            row
            for order in orders
            if order.name not in late
            for row in _take_rows(order, _ALL if until is None else until)
        ]
        rows = [each for row in rows for each in _distorted(row, faults)]
        rows += [self._foreign(fault) for fault in faults if fault.kind == "foreign"]
        if not rows and not adjustment:
            return None
        settlement = Settlement(id=new_id("setl"), account=account, created_at=now(), rows=rows)
        self._all.append(settlement)
        self.move(settlement, status, adjustment)
        return settlement

    def move(self, settlement: Settlement, status: str, adjustment: int = 0) -> None:
        """Give it a status, and correct it by an adjustment; a payout that is tried again has another UTR."""
        if adjustment:
            own_id = new_id("adj")
            settlement.rows.append(Row(own_id, "adjustment", adjustment, "INR", now(), description="Correction"))
        if status == "processed" and settlement.status != "processed":
            settlement.utr = bank_reference(new_id("utr"))
            settlement.processed_at = now()
        settlement.status = status
        if status == "processed":
            self._announcer.settlement(settlement.account, settlement_entities.entity(settlement))

    def find(self, settlement_id: str) -> Settlement | None:
        return next((each for each in self._all if each.id == settlement_id), None)

    def clear(self) -> None:
        """Forget every settlement."""
        self._all.clear()
        self._settled_until.clear()

    def _foreign(self, fault: RowFault) -> Row:
        fee, tax = self._fees.of(fault.amount_paise)
        return Row(
            new_id("pay"),
            "payment",
            fault.amount_paise,
            "INR",
            now(),
            fee=fee + tax,
            tax=tax,
            order_id=new_id("order"),
            order_receipt=fault.order_id or "receipt_of_nobody",
            method="upi",
        )


def _take_rows(order: Order, until: int) -> Iterator[Row]:
    """What happened to an order before *until* and is in no settlement, marked as settled."""
    for payment in order.payments:
        if payment.captured_at is not None and payment.captured_at < until and not payment.settled:
            payment.settled = True
            row = _row(order, payment, payment.id, "payment", payment.amount, payment.captured_at)
            yield msgspec.structs.replace(row, payment_id=None, fee=payment.fee or 0, tax=payment.tax or 0)
        for refund in payment.refunds:
            if refund.processed_at is not None and refund.processed_at < until and not refund.settled:
                refund.settled = True
                yield _row(order, payment, refund.id, "refund", -refund.amount, refund.processed_at)
            failed_at = refund.failed_at
            if failed_at is not None and failed_at < until and refund.settled and not refund.reversal_settled:
                refund.reversal_settled = True
                yield _row(order, payment, new_id("adj"), "adjustment", refund.amount, failed_at, "Refund reversal")
        for dispute in payment.disputes:
            if dispute.deducted_at and dispute.deducted_at < until and not dispute.settled:
                dispute.settled = True
                row = _row(order, payment, new_id("adj"), "adjustment", -dispute.amount, dispute.deducted_at, "Dispute")
                yield msgspec.structs.replace(row, dispute_id=dispute.id)
            given_back_at = dispute.given_back_at
            if given_back_at and given_back_at < until and dispute.settled and not dispute.reversal_settled:
                dispute.reversal_settled = True
                row = _row(order, payment, new_id("adj"), "adjustment", dispute.amount, given_back_at, "Dispute won")
                yield msgspec.structs.replace(row, dispute_id=dispute.id)


def _row(
    order: Order, payment: Payment, own_id: str, kind: str, amount: int, at: int, description: str | None = None
) -> Row:
    is_card = payment.method.kind == "card"
    return Row(
        own_id,
        kind,
        amount,
        payment.currency,
        at,
        payment_id=payment.id,
        order_id=order.id,
        order_receipt=order.receipt,
        method=payment.method.kind,
        card_network=payment.method.network if is_card else None,
        description=description,
    )


def _distorted(row: Row, faults: Sequence[RowFault]) -> list[Row]:
    """The rows that report what happened: none, itself, itself twice or another."""
    rows = [row]
    if row.type != "payment":
        return rows
    for fault in faults:
        if fault.order_id not in (row.order_receipt, row.order_id):
            continue
        match fault.kind:
            case "missing":
                return []
            case "doubled":
                rows.append(msgspec.structs.replace(row))
            case "amount":
                row.amount += fault.amount_paise
            case "fee":
                row.fee += fault.amount_paise
            case "currency":
                row.currency = "USD"
            case "utr":
                row.utr = bank_reference(new_id("utr"))
    return rows
