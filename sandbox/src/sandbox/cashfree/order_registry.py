"""Orders by their ids, in memory and bounded; the oldest finished ones are evicted first."""

import base64
import itertools
import secrets
from collections import deque
from collections.abc import Callable

from sandbox.cashfree import errors
from sandbox.cashfree.accounts import Account
from sandbox.cashfree.domain import Order, Payment, Refund
from sandbox.clock import now, now_ms

_SPARED_MAX = 64  # unfinished orders passed over before the oldest is evicted


class OrderRegistry:
    """Orders, their sessions and refund ids. *on_evicted* is called with the id of each evicted order."""

    def __init__(self, orders_max: int, on_evicted: Callable[[str], None]) -> None:
        self._orders_max = orders_max
        self._on_evicted = on_evicted
        self._orders: dict[str, Order] = {}
        self._sessions: dict[str, Order] = {}
        self._refund_ids: dict[str, Order] = {}
        self._by_age: deque[str] = deque()
        # 14 digits that keep growing over restarts, so that no new payment has an old id.
        self._last_id = now_ms() * 10

    def __len__(self) -> int:
        return len(self._orders)

    def next_id(self) -> int:
        """A new cf_order_id, cf_payment_id or cf_refund_id."""
        self._last_id += 1
        return self._last_id

    @staticmethod
    def new_session_id() -> str:
        """Opaque, 143 characters, session_…payment."""
        return f"session_{base64.urlsafe_b64encode(secrets.token_bytes(96)).decode()}payment"

    def add(self, order: Order) -> None:
        """Remember a new order; raises Refused if its id was used before, by any account."""
        if order.order_id in self._orders:
            raise errors.order_exists()
        self._orders[order.order_id] = self._sessions[order.session_id] = order
        self._by_age.append(order.order_id)
        if len(self._orders) > self._orders_max:
            self._evict()

    def all(self, account: Account) -> list[Order]:
        """Every order of an account, in the order in which they were made."""
        return [order for order in self._orders.values() if order.account is account]

    def find(self, order_id: str) -> Order | None:
        """The order of that id, or None."""
        return self._orders.get(order_id)

    def order(self, order_id: str, account: Account | None = None) -> Order:
        """The order of that id (of an account); raises Refused."""
        order = self._orders.get(order_id)
        if order is None or account not in (None, order.account):
            raise errors.order_not_found()
        return order

    def of_session(self, session_id: object) -> Order:
        """The order of a payment session; raises Refused."""
        order = self._sessions.get(session_id) if isinstance(session_id, str) else None
        if order is None:
            raise errors.session_invalid()
        return order

    def payment(self, order_id: str, cf_payment_id: str, account: Account | None = None) -> tuple[Order, Payment]:
        """A payment and its order (of an account); raises Refused."""
        order = self.order(order_id, account)
        for payment in order.payments:
            if str(payment.cf_payment_id) == cf_payment_id:
                return order, payment
        raise errors.payment_not_found()

    def add_refund(self, order: Order, refund: Refund) -> None:
        """Remember a refund; raises Refused if its id was used before, on any order."""
        if refund.refund_id in self._refund_ids:
            raise errors.refund_repeated()
        self._refund_ids[refund.refund_id] = order
        order.refunds.append(refund)

    def has_refund(self, refund_id: str) -> bool:
        return refund_id in self._refund_ids

    def refund(
        self, refund_id: str, order_id: str | None = None, account: Account | None = None
    ) -> tuple[Order, Refund]:
        """A refund and its order (of an account); raises Refused."""
        order = self._refund_ids.get(refund_id)
        if order_id is not None and self.order(order_id, account) is not order:
            raise errors.refund_not_found()
        if order is None:
            raise errors.refund_not_found()
        return order, next(refund for refund in order.refunds if refund.refund_id == refund_id)

    def clear(self) -> None:
        """Forget everything but the last number given out."""
        for index in (self._orders, self._sessions, self._refund_ids, self._by_age):
            index.clear()

    def _evict(self) -> None:
        moment = now()
        spared = itertools.islice(self._by_age, _SPARED_MAX)
        position = next((at for at, order_id in enumerate(spared) if self._orders[order_id].finished(moment)), 0)
        order = self._orders.pop(self._by_age[position])
        del self._by_age[position]
        del self._sessions[order.session_id]
        for refund in order.refunds:
            del self._refund_ids[refund.refund_id]
        self._on_evicted(order.order_id)
