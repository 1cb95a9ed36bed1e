"""What every gateway adapter must do, shown against its provider's simulator."""

from datetime import timedelta

import msgspec
import pytest

from common.clock import SystemClock
from common.money import Money
from gateways import (
    FAILURE_REASONS,
    AttemptStatus,
    Customer,
    IgnoredWebhook,
    MalformedWebhook,
    OrderMissing,
    OrderReference,
    OrderRefused,
    OrderRequest,
    OrderSnapshot,
    OrderStatus,
    PaymentAttempt,
    PaymentMethod,
    PaymentWebhook,
    Unknown,
)
from gateways.registry import open_gateways
from gateways.verification import WebhookSignatureInvalid, WebhookSource, WebhookTimestampInvalid, WebhookTooOld

from .bench import Bench, Webhook

DAY = timedelta(days=1)


def reference(snapshot: OrderSnapshot) -> OrderReference:
    return OrderReference(snapshot.order_id, snapshot.gateway_order_id)


async def made(bench: Bench, **fields: object) -> tuple[OrderRequest, OrderSnapshot]:
    order = bench.order(**fields)
    snapshot = await bench.gateway.create_order(order, 5)
    assert isinstance(snapshot, OrderSnapshot), snapshot
    return order, snapshot


# ── Orders ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_made_and_read_back(bench: Bench) -> None:
    order, snapshot = await made(bench)
    assert (snapshot.order_id, snapshot.status, snapshot.amount) == (order.order_id, OrderStatus.ACTIVE, Money(12_345))
    assert snapshot.payment_id == order.payment_id
    assert snapshot.gateway_order_id
    assert snapshot.session_id
    assert await bench.gateway.read_order(reference(snapshot), 5) == snapshot
    assert await bench.gateway.read_attempts(reference(snapshot), 5) == []


async def test_an_order_is_found_by_our_id_alone(bench: Bench) -> None:
    """A process that died before it stored the answer left no other id."""
    order, snapshot = await made(bench)
    assert await bench.gateway.read_order(order.reference, 5) == snapshot
    assert await bench.gateway.read_attempts(order.reference, 5) == []


@pytest.mark.parametrize("attempt", [1, 2])
async def test_making_an_order_again_finds_it(bench: Bench, attempt: int) -> None:
    order, snapshot = await made(bench)
    again = msgspec.structs.replace(order, attempt=attempt)
    assert await bench.gateway.create_order(again, 5) == snapshot


async def test_an_order_made_by_somebody_else_shows_whose_it_is(bench: Bench) -> None:
    """Two merchants on one account may choose the same order id: the answer carries the first one's payment."""
    first, _ = await made(bench)
    second = msgspec.structs.replace(bench.order(), order_id=first.order_id)
    answer = await bench.gateway.create_order(second, 5)
    assert isinstance(answer, OrderRefused) or (
        isinstance(answer, OrderSnapshot) and answer.payment_id == first.payment_id
    )


async def test_an_order_that_nobody_made_is_missing(bench: Bench) -> None:
    nobody = bench.order().reference
    assert await bench.gateway.read_order(nobody, 5) == OrderMissing(nobody.order_id)


async def test_a_bad_order_is_refused(bench: Bench) -> None:
    answer = await bench.gateway.create_order(bench.simulator.refused(bench.order), 5)
    assert isinstance(answer, OrderRefused)
    assert answer.code


async def test_a_customer_without_a_phone_number_is_refused_where_one_is_needed(bench: Bench) -> None:
    answer = await bench.gateway.create_order(bench.order(customer=Customer()), 5)
    expected = OrderRefused if bench.gateway.capabilities.needs_customer_phone else OrderSnapshot
    assert isinstance(answer, expected)


@pytest.mark.parametrize("minor", [100, 12_345, 50_000_000])
async def test_amounts_are_exact(bench: Bench, minor: int) -> None:
    _, snapshot = await made(bench, amount=Money(minor))
    assert snapshot.amount == Money(minor)


@pytest.mark.parametrize("method", ["", *PaymentMethod])
async def test_a_wish_for_a_method_never_keeps_an_order_from_being_made(bench: Bench, method: str) -> None:
    await made(bench, method_hint=str(method))


# ── Unknown is not failed ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "error", "status": 500},
        {"action": "error", "status": 503},
        {"action": "error", "status": 429},
        {"action": "timeout", "delay_ms": 2_000},
        {"action": "garble", "garbage": "html"},
        {"action": "garble", "garbage": "truncated"},
        {"action": "garble", "garbage": "huge"},
    ],
    ids=str,
)
async def test_no_answer_is_unknown_for_every_call(bench: Bench, rule: dict[str, object]) -> None:
    order, snapshot = await made(bench)
    await bench.fault(**rule)
    assert isinstance(await bench.gateway.create_order(bench.order(), 0.3), Unknown)
    assert isinstance(await bench.gateway.read_order(reference(snapshot), 0.3), Unknown)
    assert isinstance(await bench.gateway.read_attempts(order.reference, 0.3), Unknown)
    assert isinstance(await bench.gateway.close_order(reference(snapshot), 0.3), Unknown)


async def test_an_order_whose_answer_was_lost_is_found_again(bench: Bench) -> None:
    order = bench.order()
    await bench.fault(bench.simulator.create_operation, action="apply_then_timeout", delay_ms=1_000, count=1)
    assert isinstance(await bench.gateway.create_order(order, 0.3), Unknown)
    again = await bench.gateway.create_order(msgspec.structs.replace(order, attempt=2), 5)
    assert isinstance(again, OrderSnapshot)
    assert again.payment_id == order.payment_id


async def test_a_gateway_that_is_not_there_is_unknown(bench: Bench) -> None:
    account = msgspec.structs.replace(bench.account, base_url="http://127.0.0.1:1")
    async with open_gateways([account], bench.calls.append) as gateways:
        assert isinstance(await gateways[account.id].create_order(bench.order(), 1), Unknown)
    assert bench.calls[-1].outcome == "no_answer"


async def test_wrong_keys_say_nothing_about_the_payment(bench: Bench) -> None:
    account = msgspec.structs.replace(bench.account, key_secret="wrong")
    async with open_gateways([account], bench.calls.append) as gateways:
        assert isinstance(await gateways[account.id].create_order(bench.order(), 1), Unknown)
        assert isinstance(await gateways[account.id].read_order(bench.order().reference, 1), Unknown)


async def test_a_spent_quota_is_waited_for_and_says_how_long(bench: Bench) -> None:
    await bench.fault(bench.simulator.create_operation, action="error", status=429, count=1)
    refused = await bench.gateway.create_order(bench.order(), 0.3)
    assert isinstance(refused, Unknown)
    assert refused.reason == "rate_limited"
    calls = len(bench.calls)
    at_once = await bench.gateway.create_order(bench.order(), 0.3)
    assert isinstance(at_once, Unknown)
    assert (at_once.reason, bench.calls[calls].outcome) == ("rate_limited", "quota")
    assert at_once.retry_after_seconds > 0.3
    # A caller that can wait until then gets the order.
    assert isinstance(await bench.gateway.create_order(bench.order(), 20), OrderSnapshot)


async def test_every_call_is_recorded(bench: Bench) -> None:
    order, snapshot = await made(bench)
    await bench.gateway.read_order(reference(snapshot), 5)
    await bench.gateway.read_attempts(reference(snapshot), 5)
    assert {(call.gateway, call.account_id, call.order_id) for call in bench.calls} == {
        (bench.account.gateway, bench.account.id, order.order_id)
    }
    assert [call.operation for call in bench.calls] == ["create_order", "read_order", "read_attempts"]
    assert {(call.http_status, call.outcome) for call in bench.calls} == {(200, "answered")}
    assert all(call.ms > 0 for call in bench.calls)


# ── Attempts and closing ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_paid_order_says_who_paid(bench: Bench) -> None:
    order, snapshot = await made(bench)
    await bench.pay(reference(snapshot), "failure")
    await bench.pay(reference(snapshot))
    paid = await bench.gateway.read_order(reference(snapshot), 5)
    assert isinstance(paid, OrderSnapshot)
    assert (paid.status, paid.payment_id) == (OrderStatus.PAID, order.payment_id)
    attempts = await bench.gateway.read_attempts(reference(snapshot), 5)
    assert not isinstance(attempts, Unknown)
    assert sorted(attempt.status for attempt in attempts) == [AttemptStatus.FAILED, AttemptStatus.SUCCESS]
    for attempt in attempts:
        assert attempt.gateway_payment_id
        assert (attempt.order_id, attempt.amount) == (order.order_id, order.amount)
        assert attempt.method in {*PaymentMethod}
        assert attempt.reason in (FAILURE_REASONS if attempt.status is AttemptStatus.FAILED else {""})


async def test_an_unpaid_order_is_closed_and_a_paid_one_is_not(bench: Bench) -> None:
    (_, unpaid), (_, paid) = await made(bench), await made(bench)
    await bench.pay(reference(paid))
    closed = await bench.gateway.close_order(reference(unpaid), 5)
    kept = await bench.gateway.close_order(reference(paid), 5)
    assert isinstance(closed, OrderSnapshot)
    assert isinstance(kept, OrderSnapshot)
    after = OrderStatus.TERMINATED if bench.gateway.capabilities.closes_orders else OrderStatus.ACTIVE
    assert (closed.status, kept.status) == (after, OrderStatus.PAID)
    nobody = bench.order().reference
    assert await bench.gateway.close_order(nobody, 5) == OrderMissing(nobody.order_id)


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def delivered(bench: Bench, outcome: str = "success") -> tuple[OrderSnapshot, Webhook]:
    """An order and the first webhook about it."""
    _, snapshot = await made(bench)
    await bench.pay(reference(snapshot), outcome)
    return snapshot, bench.webhooks[0]


def verified(bench: Bench, webhook: Webhook, **changes: object) -> object:
    account = msgspec.structs.replace(bench.account, **changes)
    return WebhookSource(account, bench.adapter).verify(webhook.headers, webhook.body, SystemClock().now(), DAY)


async def test_a_webhook_of_the_gateway_verifies(bench: Bench) -> None:
    _, webhook = await delivered(bench)
    verified(bench, webhook)
    verified(bench, webhook, webhook_secrets=("the-next-secret", *bench.account.webhook_secrets))


async def test_a_forged_webhook_is_rejected(bench: Bench) -> None:
    _, webhook = await delivered(bench)
    with pytest.raises(WebhookSignatureInvalid):
        verified(bench, webhook, webhook_secrets=("another-secret",))
    with pytest.raises(WebhookSignatureInvalid):
        verified(bench, webhook, webhook_secrets=())
    for body in (webhook.body + b" ", webhook.body[:-1], b""):
        forged = type(webhook)(webhook.headers, body)
        with pytest.raises(WebhookSignatureInvalid):
            verified(bench, forged)
    with pytest.raises((WebhookSignatureInvalid, WebhookTimestampInvalid)):
        verified(bench, type(webhook)({}, webhook.body))


async def test_an_old_webhook_is_rejected_where_the_time_is_signed(bench: Bench) -> None:
    _, webhook = await delivered(bench)
    late = SystemClock().now() + DAY + timedelta(minutes=1)
    source = WebhookSource(bench.account, bench.adapter)
    if bench.gateway.capabilities.signs_time:
        with pytest.raises(WebhookTooOld):
            source.verify(webhook.headers, webhook.body, late, DAY)
    else:
        assert source.verify(webhook.headers, webhook.body, late, DAY).signed_at is None


@pytest.mark.parametrize("outcome", ["success", "failure"])
async def test_a_webhook_says_the_same_as_the_list_of_attempts(bench: Bench, outcome: str) -> None:
    snapshot, webhook = await delivered(bench, outcome)
    content = bench.gateway.parse_webhook(webhook.body)
    assert isinstance(content, PaymentWebhook)
    assert content.order_id == snapshot.order_id or content.gateway_order_id == snapshot.gateway_order_id
    attempts = await bench.gateway.read_attempts(reference(snapshot), 5)
    assert not isinstance(attempts, Unknown)
    [listed] = attempts
    assert facts(content.attempt) == facts(listed)


def facts(attempt: PaymentAttempt) -> tuple[object, ...]:
    return attempt.gateway_payment_id, attempt.status, attempt.amount, attempt.method, attempt.reason


async def test_a_webhook_summarises_to_what_finds_it_again(bench: Bench) -> None:
    _, webhook = await delivered(bench)
    summary = bench.adapter.summarise_webhook(webhook.body)
    content = bench.gateway.parse_webhook(webhook.body)
    assert isinstance(content, PaymentWebhook)
    assert summary.type
    assert summary.gateway_payment_id == content.attempt.gateway_payment_id
    assert (summary.order_id or "") == content.order_id
    assert summary.identity
    assert not summary.is_test
    # Another rendering of the same event is the same event.
    rendered = msgspec.json.format(webhook.body, indent=2)
    assert bench.adapter.summarise_webhook(rendered).identity == summary.identity


async def test_each_attempt_has_an_identity_of_its_own(bench: Bench) -> None:
    _, snapshot = await made(bench)
    await bench.pay(reference(snapshot), "failure")
    await bench.pay(reference(snapshot))
    identities = {bench.adapter.summarise_webhook(webhook.body).identity for webhook in bench.webhooks}
    assert len(identities) == len(bench.webhooks) == 2


async def test_other_events_are_ignored(bench: Bench) -> None:
    body = bench.simulator.other_event()
    assert isinstance(bench.gateway.parse_webhook(body), IgnoredWebhook)
    assert bench.adapter.summarise_webhook(body).type


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b"7", b"\xff\xfe", b"[" * 100_000], ids=lambda body: str(body[:9])
)
async def test_garbage_is_malformed_and_has_no_summary(bench: Bench, body: bytes) -> None:
    assert isinstance(bench.gateway.parse_webhook(body), MalformedWebhook)
    assert bench.adapter.summarise_webhook(body).type == ""
