"""The port: what every payment gateway's adapter offers, in words that are the same for all gateways.

Services import this module. Only `gateways.registry` knows the providers, and only a service's `__main__` and settings
import the registry.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from common.errors import InvalidArgument, NotFound
from common.money import Money

if TYPE_CHECKING:
    from gateways.client import GatewayClient

Network: TypeAlias = IPv4Network | IPv6Network


class GatewayUnsupported(InvalidArgument):
    """No adapter has this name."""

    fix = "Send the ids of a payment that was made through an enabled gateway."


class GatewayAccountNotFound(NotFound):
    """No account with this id is configured for this gateway."""

    fix = "Check the account id and the gateway's name in the path."


# ── Accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway can do beyond what all of them can."""

    # An unpaid order can be closed by a call.
    closes_orders: bool
    # A webhook's signature covers the time of signing.
    signs_time: bool
    # No order is made without the customer's phone number.
    needs_customer_phone: bool
    # The country codes of the numbers that it takes, such as +91; none stands for all.
    phone_country_codes: tuple[str, ...] = ()


class GatewayAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One account at one gateway: where and as whom to call, and who may send its webhooks."""

    # gwa_…
    id: str
    # The gateway's name in the registry.
    gateway: str
    base_url: str = ""
    key_id: str = ""
    key_secret: str = ""
    api_version: str = ""
    # The merchant's own number, E.164: sent for customers who have none that the gateway takes. "" where there is none.
    contact_phone: str = ""
    # Where the gateway sends webhooks about orders; empty leaves it to the account's dashboard.
    notify_url: str = ""
    # Any of them verifies: two are current while one replaces the other.
    webhook_secrets: tuple[str, ...] = ()
    # Who may send webhooks; empty admits everybody with a good signature.
    webhook_networks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        if not all(self.webhook_secrets):
            raise ValueError("a webhook secret is empty: anybody could sign with it")

    def __repr__(self) -> str:
        """Without the secrets, so that a log line or a failed assertion cannot show them."""
        return f"GatewayAccount(id={self.id!r}, gateway={self.gateway!r})"


# ── Orders and attempts ──────────────────────────────────────────────────────────────────────────────────────────


class PaymentMethod(StrEnum):
    """How a customer pays, in one vocabulary for all gateways."""

    UPI = "upi"
    CARD = "card"
    CREDIT_CARD = "credit_card"
    DEBIT_CARD = "debit_card"
    NETBANKING = "netbanking"
    WALLET = "wallet"
    PAYLATER = "paylater"
    CARDLESS_EMI = "cardless_emi"
    BANK_TRANSFER = "bank_transfer"
    OTHER = "other"


# What a caller may ask for when it creates a payment; an adapter leaves out what its gateway has no word for.
REQUESTABLE_METHODS = frozenset(
    {
        PaymentMethod.UPI,
        PaymentMethod.CARD,
        PaymentMethod.CREDIT_CARD,
        PaymentMethod.DEBIT_CARD,
        PaymentMethod.NETBANKING,
        PaymentMethod.WALLET,
        PaymentMethod.PAYLATER,
    }
)


class AttemptStatus(StrEnum):
    """One try of the customer to pay an order. The order of the members is how far an attempt has come."""

    STARTED = "STARTED"
    AUTHORIZING = "AUTHORIZING"
    PENDING = "PENDING"
    # The gateway's word is not one we may act on: amounts differ, or a word nobody knows.
    UNKNOWN = "UNKNOWN"
    DROPPED = "DROPPED"
    FAILED = "FAILED"
    SUCCESS = "SUCCESS"


class OrderStatus(StrEnum):
    """The gateway's own view of an order."""

    ACTIVE = "ACTIVE"
    PAID = "PAID"
    EXPIRED = "EXPIRED"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"


# Why a payment failed, as mails, events and the API may show it.
FAILURE_REASONS = frozenset(
    {
        "declined",
        "authentication_failed",
        "insufficient_funds",
        "limit_exceeded",
        "invalid_details",
        "bank_unavailable",
        "dropped_by_customer",
        "order_closed",
        "gateway_refused",
        "failed",
    }
)


class Customer(msgspec.Struct, frozen=True, gc=False):
    """Who pays; personal data, which leaves the fleet in mails and to the gateway only."""

    email: str = ""
    # E.164.
    phone: str = ""
    name: str = ""


class OrderReference(msgspec.Struct, frozen=True, gc=False):
    """Names an order of ours at its gateway."""

    # Ours. Where the gateway makes the order's id, this one is the unique receipt that finds the order again.
    order_id: str
    # The gateway's own; "" while it is not known.
    gateway_order_id: str = ""


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs to make an order; `attempt` counts from 1 and never changes the order id."""

    order_id: str
    # pay_…: travels with the order, so that an order found under the same id is known to be this payment's.
    payment_id: str
    amount: Money
    customer_id: str
    customer: Customer
    return_url: str = ""
    note: str = ""
    # A PaymentMethod, or "" for any.
    method_hint: str = ""
    expires_at: datetime
    attempt: int = 1

    @property
    def reference(self) -> OrderReference:
        return OrderReference(self.order_id)


class OrderSnapshot(msgspec.Struct, frozen=True, gc=False):
    """An order as the gateway shows it at one moment."""

    # Ours.
    order_id: str
    gateway_order_id: str
    status: OrderStatus
    amount: Money
    # What the checkout needs to open the order.
    session_id: str = ""
    # pay_… as it was sent along when the order was made; "" where the gateway does not give it back.
    payment_id: str = ""


class PaymentAttempt(msgspec.Struct, frozen=True, gc=False):
    """One attempt at an order, from a webhook or the gateway's list of payments. No personal data."""

    # Ours; "" in a webhook that carries the gateway's own order id only.
    order_id: str
    gateway_payment_id: str
    status: AttemptStatus
    # What the order was for, and what was taken; None where the gateway does not say.
    order_amount: Money | None = None
    amount: Money | None = None
    # A PaymentMethod, or "" where the gateway does not say.
    method: str = ""
    group: str = ""
    bank_reference: str = ""
    # One of FAILURE_REASONS or ""; never the bank's free text.
    reason: str = ""
    at: datetime | None = None


class OrderMissing(msgspec.Struct, frozen=True, gc=False):
    """The gateway does not know the order."""

    order_id: str


class OrderRefused(msgspec.Struct, frozen=True, gc=False):
    """A definite no: the order was not made and will not be."""

    code: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody knows: a time-out, a 5xx, an answer that cannot be read. It may have happened."""

    reason: str
    retry_after_seconds: float = 0.0


CreateOrderResult: TypeAlias = OrderSnapshot | OrderRefused | Unknown
ReadOrderResult: TypeAlias = OrderSnapshot | OrderMissing | Unknown


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────


class WebhookSignature(msgspec.Struct, frozen=True, gc=False):
    """What the gateway put beside the body."""

    signature: str
    # The time of signing as the signature covers it, and as it was written; None where the gateway signs no time.
    signed_at: datetime | None = None
    timestamp: str = ""
    version: str = ""
    # The delivery's number, 1 for the first. Not covered by the signature: a figure only.
    attempt: int = 1


class WebhookSummary(msgspec.Struct, frozen=True, gc=False):
    """What a body says of itself: enough to find it again and to recognise it, no more.

    *type* is empty when the body cannot be read. *identity* is the same for every rendering of one event (another API
    version, white space, a resend) and empty when the event has no id of its own.
    """

    type: str = ""
    event_time: datetime | None = None
    # Ours, where the body names it.
    order_id: str | None = None
    gateway_payment_id: str | None = None
    gateway_refund_id: str | None = None
    gateway_status: str | None = None
    identity: str = ""
    # The dashboard's "test this endpoint": stored and answered, not announced.
    is_test: bool = False


class PaymentWebhook(msgspec.Struct, frozen=True):
    """A webhook about an attempt at an order: what it claims, to be checked with the gateway."""

    # Ours; "" where the gateway's webhooks carry its own order id only.
    order_id: str
    attempt: PaymentAttempt
    gateway_order_id: str = ""


class IgnoredWebhook(msgspec.Struct, frozen=True):
    """A webhook that is understood to be nothing for us (yet): another kind of event, a test."""

    reason: str


class MalformedWebhook(msgspec.Struct, frozen=True):
    """A webhook that should say something and cannot be read; a person has to look."""

    reason: str


WebhookContent: TypeAlias = PaymentWebhook | IgnoredWebhook | MalformedWebhook


# ── The adapter ──────────────────────────────────────────────────────────────────────────────────────────────────


class GatewayCall(msgspec.Struct, frozen=True, gc=False):
    """What is recorded of a call to a gateway: no bodies."""

    gateway: str
    account_id: str
    operation: str
    order_id: str
    # 0 when there was no answer.
    http_status: int
    # answered, quota, timeout or no_answer.
    outcome: str
    ms: float


class Gateway(Protocol):
    """One account at one gateway.

    Time-outs are the caller's, in seconds, for each request. No method raises for what the gateway says or fails to
    say: that is `Unknown`.
    """

    @property
    def account(self) -> GatewayAccount: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def create_order(self, order: OrderRequest, timeout_seconds: float) -> CreateOrderResult:
        """Make the order; one that exists under this id already is read and answered as if it was made now."""
        ...

    async def read_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult: ...

    async def read_attempts(self, order: OrderReference, timeout_seconds: float) -> Sequence[PaymentAttempt] | Unknown:
        """All attempts at the order."""
        ...

    async def close_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        """Ask to close an unpaid order. The gateway may refuse: the answer says what the order is now.

        Where the gateway cannot close orders (see capabilities) the order is only read.
        """
        ...

    def parse_webhook(self, body: bytes) -> WebhookContent:
        """What a webhook with a good signature says. Pure; never raises for the body's content."""
        ...


# By account id.
Gateways: TypeAlias = Mapping[str, Gateway]


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's row in the registry. All but *connect* are pure."""

    name: str
    # The headers, names in lower case → what the gateway put beside the body. Raises WebhookTimestampInvalid.
    read_signature: Callable[[Mapping[str, str]], WebhookSignature]
    # The signature that a secret makes for a body: (secret, what came beside the body, body).
    sign: Callable[[bytes, WebhookSignature, bytes], str]
    # Never raise: a body that cannot be read is an empty summary, or malformed.
    summarise_webhook: Callable[[bytes], WebhookSummary]
    parse_webhook: Callable[[bytes], WebhookContent]
    # The headers of every call.
    headers: Callable[[GatewayAccount], Mapping[str, str]]
    connect: Callable[["GatewayAccount", "GatewayClient"], Gateway]
