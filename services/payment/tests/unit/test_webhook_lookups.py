"""Webhooks that carry the gateway's own order id: the order is read at the gateway, which tells ours."""

from collections.abc import Sequence
from typing import Any

import pytest

from common.money import Money
from gateways import (
    AttemptStatus,
    DisputeWebhook,
    IgnoredWebhook,
    OrderMissing,
    OrderReference,
    OrderSnapshot,
    OrderStatus,
    PaymentAttempt,
    PaymentWebhook,
    ReadOrderResult,
    RefundWebhook,
    Unknown,
    WebhookContent,
)
from gateways.disputes import DisputeSnapshot, DisputeStatus
from gateways.refunds import RefundSnapshot, RefundStatus
from payment.domain.errors import OrderNotKnownYet, OrderStateUnknown
from payment.domain.orders import ObservedOrder, OrderKey
from payment.use_cases.order_lookups import OrderLookup
from payment.use_cases.refund_checks import RefundLookup
from payment.use_cases.webhook_lookups import Webhook, WebhookLookups, look_up

from ..builders import NOW

ACCOUNT = "gwa_razorpay"
PAID = OrderSnapshot("ord_1", "order_1", OrderStatus.PAID, Money(50_000), payment_id="pay_1", stays_open=True)
REFUND = RefundSnapshot("rfd_1", "rfnd_1", "", "pay_A", RefundStatus.SUCCESS, Money(50_000))
DISPUTE = DisputeSnapshot("disp_1", "", "pay_A", DisputeStatus.OPEN, Money(50_000))


class Shown:
    """A gateway that shows what a test says, and counts what it is asked."""

    def __init__(self, **orders: ReadOrderResult) -> None:
        self.orders = orders
        self.reads: list[OrderReference] = []
        self.refund_reads: list[OrderReference] = []

    async def read_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        self.reads.append(order)
        by_own = {shown.order_id: shown for shown in self.orders.values() if isinstance(shown, OrderSnapshot)}
        return self.orders.get(order.gateway_order_id) or by_own.get(order.order_id) or OrderMissing(order.order_id)

    async def read_attempts(self, order: OrderReference, timeout_seconds: float) -> Sequence[PaymentAttempt] | Unknown:
        return [attempt(order.order_id)]

    async def read_refunds(self, order: OrderReference, timeout_seconds: float) -> Sequence[RefundSnapshot] | Unknown:
        self.refund_reads.append(order)
        return [REFUND]


def lookups(gateway: Any) -> WebhookLookups:
    gateways = {ACCOUNT: gateway}
    return WebhookLookups(
        OrderLookup(gateways, timeout_seconds=1), RefundLookup(gateways, timeout_seconds=1, concurrency=4)
    )


def attempt(order_id: str = "", payment_id: str = "pay_A") -> PaymentAttempt:
    return PaymentAttempt(order_id, payment_id, AttemptStatus.SUCCESS, None, Money(50_000))


def webhook(content: WebhookContent, account: str = ACCOUNT) -> Webhook:
    return Webhook("evt_1", "razorpay", account, "payment.captured", NOW, content)


async def test_one_read_tells_our_order_and_its_state() -> None:
    gateway = Shown(order_1=PAID)
    captured = webhook(PaymentWebhook("", attempt(), "order_1"))
    paid = webhook(PaymentWebhook("ord_1", attempt("ord_1"), "order_1"))
    results = await look_up(lookups(gateway), [captured, paid])
    key = OrderKey(ACCOUNT, "ord_1")
    assert results.orders == {key: ObservedOrder(PAID, (attempt(), attempt("ord_1")))}
    assert [results.order_of(each) for each in (captured, paid)] == [key, key]
    assert gateway.reads == [OrderReference("", "order_1")]


async def test_what_a_webhook_says_is_our_order_is_not_believed() -> None:
    """The receipt in its body is a claim like all others."""
    gateway = Shown(order_1=PAID)
    claimed = webhook(PaymentWebhook("ord_2", attempt("ord_2"), "order_1"))
    results = await look_up(lookups(gateway), [claimed])
    assert results.order_of(claimed) == OrderKey(ACCOUNT, "ord_1")


async def test_a_refund_and_a_dispute_find_their_order() -> None:
    gateway = Shown(order_1=PAID)
    refunded, disputed = webhook(RefundWebhook(REFUND, "order_1")), webhook(DisputeWebhook(DISPUTE, "order_1"))
    results = await look_up(lookups(gateway), [refunded, disputed, webhook(IgnoredWebhook("test"))])
    key = OrderKey(ACCOUNT, "ord_1")
    assert [results.order_of(each) for each in (refunded, disputed)] == [key, key]
    assert results.refunds == {key: [REFUND]}
    assert gateway.refund_reads == [OrderReference("ord_1", "order_1")]
    assert gateway.reads == [OrderReference("", "order_1")]


@pytest.mark.parametrize(
    ("shown", "refusal"),
    [(OrderMissing(""), OrderNotKnownYet), (Unknown("timeout"), OrderStateUnknown)],
)
@pytest.mark.parametrize(
    "content",
    [PaymentWebhook("", attempt(), "order_1"), RefundWebhook(REFUND, "order_1"), DisputeWebhook(DISPUTE, "order_1")],
)
async def test_an_order_that_the_gateway_does_not_show_is_waited_for(
    content: WebhookContent, shown: ReadOrderResult, refusal: type[Exception]
) -> None:
    waiting = webhook(content)
    results = await look_up(lookups(Shown(order_1=shown)), [waiting])
    assert isinstance(results.order_of(waiting), refusal)
    assert (results.orders, results.refunds) == ({}, {})


async def test_an_account_that_is_not_configured_is_waited_for() -> None:
    waiting = webhook(PaymentWebhook("", attempt(), "order_1"), account="gwa_other")
    results = await look_up(lookups(Shown(order_1=PAID)), [waiting])
    assert isinstance(results.order_of(waiting), OrderStateUnknown)


async def test_a_webhook_with_our_own_order_id_is_looked_up_by_it() -> None:
    gateway = Shown(order_1=PAID)
    ours = webhook(PaymentWebhook("ord_1", attempt("ord_1")))
    results = await look_up(lookups(gateway), [ours, webhook(RefundWebhook(REFUND))])
    assert results.order_of(ours) == OrderKey(ACCOUNT, "ord_1")
    assert (gateway.reads, results.named) == ([OrderReference("ord_1")], {})
