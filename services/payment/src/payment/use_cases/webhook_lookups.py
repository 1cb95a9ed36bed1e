"""What webhooks are about, and the gateway's own view of it: a claim is checked before anything is decided.

Some gateways' webhooks carry their own order id only. Such an order is read at the gateway, which tells ours.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from common.errors import DomainError
from gateways import (
    DisputeWebhook,
    OrderMissing,
    OrderSnapshot,
    PaymentAttempt,
    PaymentWebhook,
    ReadOrderResult,
    RefundWebhook,
    Unknown,
    WebhookContent,
)
from payment.domain.errors import OrderNotKnownYet, OrderStateUnknown
from payment.domain.orders import OrderKey
from payment.use_cases.order_lookups import LookupRequest, LookupResult, OrderLookup
from payment.use_cases.refund_checks import RefundList, RefundLookup


class GatewayOrderKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """An order by its gateway's own id."""

    gateway_account_id: str
    gateway_order_id: str


class Webhook(msgspec.Struct, frozen=True):
    """A stored webhook, parsed by its gateway's adapter."""

    id: str
    gateway: str
    gateway_account_id: str
    # What the gateway itself shows.
    type: str
    received_at: datetime
    content: WebhookContent

    @property
    def order(self) -> OrderKey | GatewayOrderKey | None:
        """The order that it is about: by the gateway's id where the gateway makes it, by ours otherwise."""
        match self.content:
            case PaymentWebhook(order_id, _, gateway_order_id):
                pass
            case RefundWebhook(refund, gateway_order_id):
                order_id = refund.order_id
            case DisputeWebhook(dispute, gateway_order_id):
                order_id = dispute.order_id
            case _:
                return None
        if gateway_order_id:
            return GatewayOrderKey(self.gateway_account_id, gateway_order_id)
        return OrderKey(self.gateway_account_id, order_id)


class WebhookLookups(msgspec.Struct, frozen=True):
    """Where claims are checked: each kind with the gateway's own list or state of it."""

    orders: OrderLookup
    refunds: RefundLookup


class LookedUp(msgspec.Struct, frozen=True):
    """What the gateways show of what a batch of webhooks is about."""

    orders: Mapping[OrderKey, LookupResult]
    refunds: Mapping[OrderKey, RefundList] = {}
    # The orders that webhooks named by the gateway's id.
    named: Mapping[GatewayOrderKey, ReadOrderResult] = {}

    def order_of(self, webhook: Webhook) -> OrderKey | DomainError | None:
        """Our order that the webhook is about, or why it must wait for that; None when it is about no order."""
        order = webhook.order
        if not isinstance(order, GatewayOrderKey):
            return order
        match self.named[order]:
            case OrderSnapshot(order_id):
                return OrderKey(order.gateway_account_id, order_id)
            case OrderMissing():
                return OrderNotKnownYet("the gateway shows no order of ours under its id (yet)")
            case Unknown(reason):
                return OrderStateUnknown(f"the gateway does not show the order now: {reason}")


async def look_up(lookups: WebhookLookups, webhooks: Sequence[Webhook]) -> LookedUp:
    """The gateway's own view of every order that the webhooks are about; each order is looked up once."""
    named = await _named(lookups.orders, webhooks)
    snapshots: dict[OrderKey, OrderSnapshot] = {}
    claims: dict[OrderKey, list[PaymentAttempt]] = {}
    refunded: dict[OrderKey, str] = {}
    for webhook in webhooks:
        order, gateway_order_id = webhook.order, ""
        if isinstance(order, GatewayOrderKey):
            snapshot = named[order]
            if not isinstance(snapshot, OrderSnapshot):
                continue
            gateway_order_id = order.gateway_order_id
            order = OrderKey(order.gateway_account_id, snapshot.order_id)
            snapshots[order] = snapshot
        if order is None:
            continue
        match webhook.content:
            case PaymentWebhook(attempt=attempt):
                claims.setdefault(order, []).append(attempt)
            case RefundWebhook():
                refunded[order] = refunded.get(order) or gateway_order_id
    requests = [
        LookupRequest(order, snapshots[order].gateway_order_id if order in snapshots else "", tuple(attempts))
        for order, attempts in claims.items()
    ]
    orders = await lookups.orders.look_up(requests, snapshots)
    if not refunded:
        return LookedUp(orders, named=named)
    return LookedUp(orders, await lookups.refunds.look_up(refunded), named)


async def _named(lookup: OrderLookup, webhooks: Sequence[Webhook]) -> dict[GatewayOrderKey, ReadOrderResult]:
    keys = sorted({order for webhook in webhooks if isinstance(order := webhook.order, GatewayOrderKey)})
    if not keys:
        return {}
    results = await asyncio.gather(*(lookup.find(key.gateway_account_id, key.gateway_order_id) for key in keys))
    return dict(zip(keys, results, strict=True))
