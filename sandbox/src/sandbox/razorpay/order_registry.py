"""Orders, payments, refunds and disputes by their ids, in memory and bounded; the oldest finished orders go first."""

import itertools
from collections import OrderedDict
from collections.abc import Callable

from sandbox.razorpay import errors
from sandbox.razorpay.accounts import Account
from sandbox.razorpay.domain import Dispute, Order, Payment, Refund
from sandbox.razorpay.ids import is_id

_SPARED_MAX = 64  # unfinished orders passed over before the oldest is evicted


class OrderRegistry:
    """What each account has. *on_evicted* is called with the name of each evicted order."""

    def __init__(self, orders_max: int, on_evicted: Callable[[str], None]) -> None:
        self._orders_max = orders_max
        self._on_evicted = on_evicted
        self._orders: OrderedDict[str, Order] = OrderedDict()  # oldest first; its head is deleted in no time
        self._by_receipt: dict[str, list[Order]] = {}
        self._of_payment: dict[str, Order] = {}
        self._of_refund: dict[str, Payment] = {}
        self._of_dispute: dict[str, Payment] = {}

    def __len__(self) -> int:
        return len(self._orders)

    # -- orders

    def add(self, order: Order) -> None:
        """Remember a new order."""
        self._orders[order.id] = order
        if order.receipt:
            self._by_receipt.setdefault(order.receipt, []).append(order)
        if len(self._orders) > self._orders_max:
            self._evict()

    def all(self, account: Account | None = None) -> list[Order]:
        """Every order (of an account), oldest first."""
        return [order for order in self._orders.values() if account is None or order.account is account]

    def of_receipt(self, account: Account, receipt: str) -> list[Order]:
        """An account's orders with that receipt, oldest first."""
        return [order for order in self._by_receipt.get(receipt, ()) if order.account is account]

    def find(self, name: str) -> Order | None:
        """The order of that id or, the newest one, of that receipt."""
        order = self._orders.get(name)
        return order or next(reversed(self._by_receipt.get(name, ())), None)

    def find_about(self, some_id: str) -> Order | None:
        """The order that an id of an order, payment, refund or dispute, or a receipt, is about, or None."""
        payment = self._of_refund.get(some_id) or self._of_dispute.get(some_id)
        return self._of_payment.get(some_id if payment is None else payment.id) or self.find(some_id)

    def named(self, name: str) -> Order:
        """As *find*; raises Refused."""
        order = self.find(name)
        if order is None:
            raise errors.unknown_id()
        return order

    def name_of(self, name: str) -> str:
        """The name of the order of that id or receipt, which need not exist yet."""
        order = self.find(name)
        return name if order is None else order.name

    def order(self, account: Account, order_id: str) -> Order:
        """An account's order; raises Refused."""
        order = self._orders.get(order_id)
        if order is None or order.account is not account:
            raise _unknown(order_id, "order")
        return order

    # -- payments, refunds, disputes

    def add_payment(self, order: Order, payment: Payment) -> None:
        """Remember a new payment."""
        order.payments.append(payment)
        self._of_payment[payment.id] = order

    def payment(self, payment_id: str, account: Account | None = None) -> tuple[Order, Payment]:
        """A payment (of an account) and its order; raises Refused."""
        order = self._of_payment.get(payment_id)
        if order is None or account not in (None, order.account):
            raise _unknown(payment_id, "pay")
        return order, next(it for it in order.payments if it.id == payment_id)

    def payments(self, account: Account) -> list[Payment]:
        """An account's payments, oldest first."""
        return sorted((it for order in self.all(account) for it in order.payments), key=lambda it: it.id)

    def add_refund(self, payment: Payment, refund: Refund) -> None:
        """Remember a new refund."""
        payment.refunds.append(refund)
        self._of_refund[refund.id] = payment

    def refund(self, refund_id: str, account: Account | None = None) -> tuple[Order, Payment, Refund]:
        """A refund (of an account), its payment and its order; raises Refused."""
        payment = self._of_refund.get(refund_id)
        if payment is None:
            raise _unknown(refund_id, "rfnd")
        order, _ = self.payment(payment.id, account)
        return order, payment, next(it for it in payment.refunds if it.id == refund_id)

    def refund_id_of(self, name: str) -> str:
        """The id of the refund of that id or, the newest one, of that receipt."""
        if name in self._of_refund:
            return name
        refunds = [it for payment in self._of_refund.values() for it in payment.refunds if it.receipt == name]
        return max((it.id for it in refunds), default=name)

    def add_dispute(self, payment: Payment, dispute: Dispute) -> None:
        """Remember a new dispute."""
        payment.disputes.append(dispute)
        self._of_dispute[dispute.id] = payment

    def dispute(self, dispute_id: str, account: Account | None = None) -> tuple[Order, Payment, Dispute]:
        """A dispute (of an account), its payment and its order; raises Refused."""
        payment = self._of_dispute.get(dispute_id)
        if payment is None:
            raise _unknown(dispute_id, "disp")
        order, _ = self.payment(payment.id, account)
        return order, payment, next(it for it in payment.disputes if it.id == dispute_id)

    def clear(self) -> None:
        """Forget everything."""
        for index in (self._orders, self._by_receipt, self._of_payment, self._of_refund, self._of_dispute):
            index.clear()

    def _evict(self) -> None:
        spared = itertools.islice(self._orders.values(), _SPARED_MAX)
        order = next((it for it in spared if it.finished()), next(iter(self._orders.values())))
        del self._orders[order.id]
        if order.receipt:
            self._by_receipt[order.receipt].remove(order)
            if not self._by_receipt[order.receipt]:
                del self._by_receipt[order.receipt]
        for payment in order.payments:
            del self._of_payment[payment.id]
            for refund in payment.refunds:
                del self._of_refund[refund.id]
            for dispute in payment.disputes:
                del self._of_dispute[dispute.id]
        self._on_evicted(order.name)


def _unknown(text: str, prefix: str) -> errors.Refused:
    return errors.unknown_id() if is_id(text, prefix) else errors.malformed_id(text)
