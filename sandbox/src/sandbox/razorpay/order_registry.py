"""Orders, payments, refunds and disputes by their ids, in memory and bounded; the oldest finished orders go first."""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator

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
        # By their ids, oldest first as well.
        self._payments: dict[str, tuple[Order, Payment]] = {}
        self._refunds: dict[str, tuple[Order, Payment, Refund]] = {}
        self._disputes: dict[str, tuple[Order, Payment, Dispute]] = {}

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

    def all(self, account: Account) -> list[Order]:
        """An account's orders, oldest first."""
        return [order for order in self._orders.values() if order.account is account]

    def newest(self, account: Account) -> Iterator[Order]:
        """An account's orders, newest first."""
        return (order for order in reversed(self._orders.values()) if order.account is account)

    def of_receipt(self, account: Account, receipt: str) -> Iterator[Order]:
        """An account's orders with that receipt, newest first."""
        return (order for order in reversed(self._by_receipt.get(receipt, ())) if order.account is account)

    def find(self, name: str) -> Order | None:
        """The order of that id or, the newest one, of that receipt."""
        order = self._orders.get(name)
        return order or next(reversed(self._by_receipt.get(name, ())), None)

    def find_about(self, some_id: str) -> Order | None:
        """The order that an id of an order, payment, refund or dispute, or a receipt, is about, or None."""
        about = self._payments.get(some_id) or self._refunds.get(some_id) or self._disputes.get(some_id)
        return self.find(some_id) if about is None else about[0]

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
        self._payments[payment.id] = order, payment

    def payment(self, payment_id: str, account: Account | None = None) -> tuple[Order, Payment]:
        """A payment (of an account) and its order; raises Refused."""
        found = self._payments.get(payment_id)
        if found is None or account not in (None, found[0].account):
            raise _unknown(payment_id, "pay")
        return found

    def newest_payments(self, account: Account) -> Iterator[tuple[Order, Payment]]:
        """An account's payments and their orders, newest first."""
        return (found for found in reversed(self._payments.values()) if found[0].account is account)

    def add_refund(self, order: Order, payment: Payment, refund: Refund) -> None:
        """Remember a new refund."""
        payment.refunds.append(refund)
        self._refunds[refund.id] = order, payment, refund

    def refund(self, refund_id: str, account: Account | None = None) -> tuple[Order, Payment, Refund]:
        """A refund (of an account), its payment and its order; raises Refused."""
        found = self._refunds.get(refund_id)
        if found is None or account not in (None, found[0].account):
            raise _unknown(refund_id, "rfnd")
        return found

    def refund_named(self, name: str) -> tuple[Order, Payment, Refund]:
        """The refund of that id or, the newest one, of that receipt; raises Refused."""
        of_receipt = (found for found in reversed(self._refunds.values()) if found[2].receipt == name)
        found = self._refunds.get(name) or next(of_receipt, None)
        if found is None:
            raise _unknown(name, "rfnd")
        return found

    def newest_refunds(self, account: Account) -> Iterator[Refund]:
        """An account's refunds, newest first."""
        return (refund for order, _, refund in reversed(self._refunds.values()) if order.account is account)

    def add_dispute(self, order: Order, payment: Payment, dispute: Dispute) -> None:
        """Remember a new dispute."""
        payment.disputes.append(dispute)
        self._disputes[dispute.id] = order, payment, dispute

    def dispute(self, dispute_id: str, account: Account | None = None) -> tuple[Order, Payment, Dispute]:
        """A dispute (of an account), its payment and its order; raises Refused."""
        found = self._disputes.get(dispute_id)
        if found is None or account not in (None, found[0].account):
            raise _unknown(dispute_id, "disp")
        return found

    def newest_disputes(self, account: Account) -> Iterator[Dispute]:
        """An account's disputes, newest first."""
        return (dispute for order, _, dispute in reversed(self._disputes.values()) if order.account is account)

    def clear(self) -> None:
        """Forget everything."""
        for index in (self._orders, self._by_receipt, self._payments, self._refunds, self._disputes):
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
            del self._payments[payment.id]
            for refund in payment.refunds:
                del self._refunds[refund.id]
            for dispute in payment.disputes:
                del self._disputes[dispute.id]
        self._on_evicted(order.name)


def _unknown(text: str, prefix: str) -> errors.Refused:
    return errors.unknown_id() if is_id(text, prefix) else errors.malformed_id(text)
