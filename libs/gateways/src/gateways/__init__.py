"""The port: what every payment gateway's adapter offers, in words that are the same for all gateways.

Services import this module. Only `gateways.registry` knows the providers, and only a service's `__main__` and settings
import the registry.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from common.errors import InvalidArgument, NotFound
from gateways.disputes import DisputeSnapshot
from gateways.orders import (
    FAILURE_REASONS,
    REQUESTABLE_METHODS,
    AttemptStatus,
    CreateOrderResult,
    Customer,
    OrderMissing,
    OrderReference,
    OrderRefused,
    OrderRequest,
    OrderSnapshot,
    OrderStatus,
    PaymentAttempt,
    PaymentMethod,
    ReadOrderResult,
    Unknown,
)
from gateways.refunds import CreateRefundResult, ReadRefundResult, RefundRequest, RefundSnapshot
from gateways.settlements import (
    ReadSettlementRowsResult,
    ReadSettlementsResult,
    SettlementStatus,
    SettlementWindow,
)

if TYPE_CHECKING:
    from gateways.client import GatewayClient

# The words of orders are imported from here, those of refunds, disputes and settlements from their own modules.
__all__ = [
    "FAILURE_REASONS",
    "REQUESTABLE_METHODS",
    "AttemptStatus",
    "CreateOrderResult",
    "Customer",
    "OrderMissing",
    "OrderReference",
    "OrderRefused",
    "OrderRequest",
    "OrderSnapshot",
    "OrderStatus",
    "PaymentAttempt",
    "PaymentMethod",
    "ReadOrderResult",
    "Unknown",
]

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
    # A refund may be asked to be instant; the gateway falls back to the standard speed by itself.
    refunds_instantly: bool
    # A refund names the payment that is given back; otherwise it names the order, and the gateway picks the payment.
    refunds_by_payment: bool
    # The gateway gives captured money back by itself: what it took twice, late or without an order.
    refunds_by_itself: bool = False
    # A refund that succeeded may be shown as sent back by the customer's bank.
    reverses_refunds: bool = False
    # The checkout is opened with the account's public key and the gateway's order id, and hands a signed proof of the
    # payment to the browser: see `Gateway.verify_checkout`.
    signs_checkout: bool = False


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


class RefundWebhook(msgspec.Struct, frozen=True):
    """A webhook about a refund, also one that nobody here asked for: what it claims, to be read at the gateway."""

    # With our order id "" where the gateway's webhooks carry its own only.
    refund: RefundSnapshot
    gateway_order_id: str = ""


class DisputeWebhook(msgspec.Struct, frozen=True):
    """A webhook about a dispute: what it claims, to be read at the gateway."""

    # With our order id "" where the gateway's webhooks carry its own only.
    dispute: DisputeSnapshot
    gateway_order_id: str = ""


class SettlementWebhook(msgspec.Struct, frozen=True):
    """A webhook about a settlement: which one to read at the gateway. Its amounts are read there, too."""

    gateway_settlement_id: str
    status: SettlementStatus
    # The bank transfer's unique reference, once there is one.
    utr: str = ""


class IgnoredWebhook(msgspec.Struct, frozen=True):
    """A webhook that is understood to be nothing for us (yet): another kind of event, a test."""

    reason: str


class MalformedWebhook(msgspec.Struct, frozen=True):
    """A webhook that should say something and cannot be read; a person has to look."""

    reason: str


WebhookContent: TypeAlias = (
    PaymentWebhook | RefundWebhook | DisputeWebhook | SettlementWebhook | IgnoredWebhook | MalformedWebhook
)


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

    async def read_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        """The order as it is now. Where the gateway makes the order's id, that one alone finds it, too: the snapshot
        then tells ours."""
        ...

    async def read_attempts(self, order: OrderReference, timeout_seconds: float) -> Sequence[PaymentAttempt] | Unknown:
        """All attempts at the order."""
        ...

    async def close_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        """Ask to close an unpaid order. The gateway may refuse: the answer says what the order is now.

        Where the gateway cannot close orders (see capabilities) the order is only read.
        """
        ...

    async def create_refund(self, refund: RefundRequest, timeout_seconds: float) -> CreateRefundResult:
        """Give money back; a refund that exists under this id already is answered as if it was made now.

        Repeating it after `Unknown` is safe: the id is unique at the gateway.
        """
        ...

    async def read_refund(self, order: OrderReference, refund_id: str, timeout_seconds: float) -> ReadRefundResult: ...

    async def read_refunds(self, order: OrderReference, timeout_seconds: float) -> Sequence[RefundSnapshot] | Unknown:
        """All refunds of the order, those made in the gateway's dashboard and by the gateway itself included."""
        ...

    async def read_disputes(self, order: OrderReference, timeout_seconds: float) -> Sequence[DisputeSnapshot] | Unknown:
        """All disputes about the order, closed ones included."""
        ...

    async def read_settlements(
        self, window: SettlementWindow, cursor: str, timeout_seconds: float
    ) -> ReadSettlementsResult:
        """A page of the settlements of these days; *cursor* is "" for the first, then `next_cursor` of the one before.

        A settlement changes after its day: reading a window again shows it as it is now.
        """
        ...

    async def read_settlement_rows(
        self, gateway_settlement_id: str, cursor: str, timeout_seconds: float
    ) -> ReadSettlementRowsResult:
        """A page of what the settlement is made of; *cursor* as for `read_settlements`."""
        ...

    def verify_checkout(self, gateway_order_id: str, gateway_payment_id: str, signature: str) -> bool:
        """Whether the gateway's checkout signed that this payment paid this order. Pure.

        *gateway_order_id* is the stored payment's own, never the browser's. The signature says nothing about the
        amount: the order is read all the same. False where the checkout signs nothing (see capabilities).
        """
        ...

    def parse_webhook(self, body: bytes) -> WebhookContent:
        """What a webhook with a good signature says. Pure; never raises for the body's content."""
        ...


# By account id.
Gateways: TypeAlias = Mapping[str, Gateway]


class MerchantAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """How merchants' own accounts at a gateway are called: the URLs are the gateway's, nobody can name another."""

    # Where the API is for accounts with real money, and for those without.
    live_url: str
    test_url: str
    api_version: str = ""
    # (key id, key secret) → "live" or "test", by what the gateway writes before those that it issues.
    mode_of: Callable[[str, str], str]
    # Webhooks are signed with the key's secret where there is no other.
    signs_with_key: bool
    # No order is made without a phone number, the customer's or the merchant's.
    needs_customer_phone: bool


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
    # None where only the platform itself has an account.
    merchant_accounts: MerchantAccounts | None = None
