"""The outside world: what every gateway adapter offers. An adapter is stateless; building and reading are pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

from common.money import Money
from payment.domain import Claim, Customer, OrderMissing, OrderRefused, OrderView, Unknown

OrderAnswer: TypeAlias = OrderView | OrderRefused | Unknown
ReadAnswer: TypeAlias = OrderView | OrderMissing | Unknown


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs to make an order; `attempt` counts from 1 and never changes the order id."""

    order_id: str
    # pay_…: travels with the order, so that one found under the same id is known to be ours.
    payment_id: str
    amount: Money
    customer_id: str
    customer: Customer
    return_url: str = ""
    note: str = ""
    method_hint: str = ""
    expires_at: datetime
    attempt: int = 1


class Heard(msgspec.Struct, frozen=True):
    """A webhook about attempts at an order: what it claims, to be checked with the gateway."""

    order_id: str
    claim: Claim


class Parked(msgspec.Struct, frozen=True):
    """A webhook that is understood to be nothing for us (yet): another kind of event, a test."""

    reason: str


class Unreadable(msgspec.Struct, frozen=True):
    """A webhook that should say something and cannot be read; a person has to look."""

    reason: str


class Gateway(Protocol):
    """Timeouts are the caller's, in seconds, for the whole call. No method raises for what the gateway says or fails
    to say: that is `Unknown`."""

    name: str

    async def create_order(self, order: OrderRequest, timeout_seconds: float) -> OrderAnswer:
        """Make the order; one that exists under this id already is read and answered as if it was made now."""
        ...

    async def read_order(self, order_id: str, timeout_seconds: float) -> ReadAnswer: ...

    async def read_payments(self, order_id: str, timeout_seconds: float) -> Sequence[Claim] | Unknown:
        """All attempts at the order."""
        ...

    async def terminate_order(self, order_id: str, timeout_seconds: float) -> ReadAnswer:
        """Ask to close an unpaid order. The gateway may refuse: the answer says what the order is now."""
        ...

    def read_webhook(self, body: bytes) -> Heard | Parked | Unreadable:
        """What a webhook with a good signature says. Pure; never raises for the body's content."""
        ...
