"""What every adapter must do about refunds, disputes and settlements, shown against its provider's simulator."""

from datetime import timedelta

import msgspec
import pytest

from common.clock import SystemClock
from common.money import Money
from gateways import (
    DisputeWebhook,
    IgnoredWebhook,
    OrderReference,
    OrderSnapshot,
    RefundWebhook,
    SettlementWebhook,
    Unknown,
)
from gateways.disputes import DisputeSnapshot, DisputeStatus
from gateways.refunds import RefundMissing, RefundRefused, RefundRequest, RefundSnapshot, RefundStatus
from gateways.settlements import (
    RowKind,
    SettlementPage,
    SettlementRow,
    SettlementRowPage,
    SettlementStatus,
    SettlementWindow,
)

from .bench import Bench

AMOUNT = 12_345


async def paid(bench: Bench) -> OrderReference:
    order = bench.order(amount=Money(AMOUNT))
    made = await bench.gateway.create_order(order, 5)
    assert isinstance(made, OrderSnapshot), made
    reference = OrderReference(made.order_id, made.gateway_order_id)
    await bench.pay(reference)
    return reference


async def capture(bench: Bench, order: OrderReference) -> str:
    attempts = await bench.gateway.read_attempts(order, 5)
    assert not isinstance(attempts, Unknown)
    return attempts[0].gateway_payment_id


async def request(bench: Bench, order: OrderReference, refund_id: str = "rfd_1", minor: int = 5_000) -> RefundRequest:
    payment_id = await capture(bench, order)
    return RefundRequest(refund_id=refund_id, order=order, gateway_payment_id=payment_id, amount=Money(minor))


def window() -> SettlementWindow:
    today = SystemClock().now().date()
    return SettlementWindow(today - timedelta(days=1), today + timedelta(days=1))


async def rows_of(bench: Bench, gateway_settlement_id: str) -> list[SettlementRow]:
    page = await bench.gateway.read_settlement_rows(gateway_settlement_id, "", 5)
    assert isinstance(page, SettlementRowPage), page
    assert (page.next_cursor, page.unreadable) == ("", 0)
    return list(page.rows)


# ── Refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_is_made_read_and_listed(bench: Bench) -> None:
    order = await paid(bench)
    asked = await request(bench, order)
    made = await bench.gateway.create_refund(asked, 5)
    assert isinstance(made, RefundSnapshot), made
    assert (made.refund_id, made.order_id, made.amount) == ("rfd_1", order.order_id, Money(5_000))
    assert made.gateway_payment_id == asked.gateway_payment_id
    assert made.gateway_refund_id
    await bench.simulator.decide_refund(bench.http, "rfd_1", RefundStatus.SUCCESS)
    read = await bench.gateway.read_refund(order, "rfd_1", 5)
    assert isinstance(read, RefundSnapshot), read
    assert (read.status, bool(read.bank_reference), bool(read.processed_at)) == (RefundStatus.SUCCESS, True, True)
    assert await bench.gateway.read_refunds(order, 5) == [read]
    if not bench.gateway.capabilities.reverses_refunds:
        return
    await bench.simulator.decide_refund(bench.http, "rfd_1", RefundStatus.REVERSED)
    back = await bench.gateway.read_refund(order, "rfd_1", 5)
    assert isinstance(back, RefundSnapshot)
    assert back.status is RefundStatus.REVERSED


async def test_asking_for_a_refund_again_finds_it_even_when_it_used_up_the_payment(bench: Bench) -> None:
    order = await paid(bench)
    asked = await request(bench, order, minor=AMOUNT)
    first = await bench.gateway.create_refund(asked, 5)
    second = await bench.gateway.create_refund(asked, 5)
    assert isinstance(first, RefundSnapshot)
    assert isinstance(second, RefundSnapshot)
    assert first.gateway_refund_id == second.gateway_refund_id


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "error", "status": 500},
        {"action": "apply_then_error", "status": 500},
        {"action": "apply_then_error", "status": 503},
        {"action": "apply_then_timeout", "delay_ms": 1_000},
        {"action": "garble", "garbage": "html"},
    ],
    ids=str,
)
async def test_a_refund_whose_answer_was_lost_is_made_once(bench: Bench, rule: dict[str, object]) -> None:
    order = await paid(bench)
    asked = await request(bench, order)
    await bench.simulator.fault(bench.http, "create_refund", {**rule, "count": 1})
    answer = await bench.gateway.create_refund(asked, 0.5)
    assert isinstance(answer, Unknown)
    # A gateway that remembers its own failure for a key gets another one in the end.
    for attempt in range(2, 21):
        answer = await bench.gateway.create_refund(msgspec.structs.replace(asked, attempt=attempt), 5)
        if not isinstance(answer, Unknown):
            break
    assert isinstance(answer, RefundSnapshot), answer
    listed = await bench.gateway.read_refunds(order, 5)
    assert not isinstance(listed, Unknown)
    assert [each.refund_id for each in listed] == ["rfd_1"]


async def test_too_large_a_refund_is_refused_and_one_that_nobody_made_is_missing(bench: Bench) -> None:
    order = await paid(bench)
    asked = await request(bench, order, minor=AMOUNT + 1)
    assert await bench.gateway.create_refund(asked, 5) == RefundRefused("amount_too_large")
    assert await bench.gateway.read_refund(order, "rfd_1", 5) == RefundMissing("rfd_1")
    unpaid = bench.order()
    assert isinstance(await bench.gateway.create_order(unpaid, 5), OrderSnapshot)
    nothing = msgspec.structs.replace(asked, order=unpaid.reference, amount=Money(1))
    assert await bench.gateway.create_refund(nothing, 5) == RefundRefused("not_paid")


@pytest.mark.parametrize("is_automatic", [False, True])
async def test_a_refund_that_nobody_here_asked_for_is_seen(bench: Bench, is_automatic: bool) -> None:
    order = await paid(bench)
    before = len(bench.webhooks)
    await bench.simulator.refund_unasked(bench.http, order, is_automatic)
    await bench.webhook(before)
    listed = await bench.gateway.read_refunds(order, 5)
    assert not isinstance(listed, Unknown)
    content = bench.gateway.parse_webhook(bench.webhooks[-1].body)
    if is_automatic and not bench.gateway.capabilities.refunds_by_itself:
        # What was never captured was never ours.
        assert listed == []
        assert isinstance(content, IgnoredWebhook)
        return
    [it] = listed
    assert (it.is_automatic, it.amount, it.status) == (is_automatic, Money(AMOUNT), RefundStatus.SUCCESS)
    assert it.gateway_refund_id
    assert isinstance(content, RefundWebhook)
    assert content.refund.gateway_refund_id == it.gateway_refund_id
    assert content.refund.is_automatic == is_automatic


# ── Disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_won", [True, False])
async def test_a_dispute_is_seen_with_its_deadline_and_its_end(bench: Bench, is_won: bool) -> None:
    order = await paid(bench)
    assert await bench.gateway.read_disputes(order, 5) == []
    before = len(bench.webhooks)
    dispute_id = await bench.simulator.dispute(bench.http, order)
    await bench.webhook(before)
    listed = await bench.gateway.read_disputes(order, 5)
    assert not isinstance(listed, Unknown)
    [it] = listed
    assert (it.gateway_dispute_id, it.status, it.amount) == (dispute_id, DisputeStatus.OPEN, Money(AMOUNT))
    assert it.gateway_payment_id == await capture(bench, order)
    assert it.respond_by is not None
    assert it.respond_by > SystemClock().now()
    assert_told(bench, it)
    await bench.simulator.end_dispute(bench.http, dispute_id, is_won=is_won)
    await bench.webhook(before + 1)
    ended = await bench.gateway.read_disputes(order, 5)
    assert not isinstance(ended, Unknown)
    assert ended[0].status is (DisputeStatus.WON if is_won else DisputeStatus.LOST)
    assert_told(bench, ended[0])


def assert_told(bench: Bench, dispute: DisputeSnapshot) -> None:
    """The last webhook says the same as the list; its order may be named by the gateway's id."""
    content = bench.gateway.parse_webhook(bench.webhooks[-1].body)
    assert isinstance(content, DisputeWebhook)
    assert content.dispute.order_id or content.gateway_order_id
    assert msgspec.structs.replace(content.dispute, order_id=dispute.order_id) == dispute
    assert content.dispute.order_id in ("", dispute.order_id)


# ── Settlements ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_settlement_and_its_rows_add_up(bench: Bench) -> None:
    order = await paid(bench)
    refund = await bench.gateway.create_refund(await request(bench, order), 5)
    assert isinstance(refund, RefundSnapshot)
    await bench.simulator.decide_refund(bench.http, "rfd_1", RefundStatus.SUCCESS)
    dispute_id = await bench.simulator.dispute(bench.http, order)
    settlement_id = await bench.simulator.settle(bench.http, adjustment_minor=700)
    page = await bench.gateway.read_settlements(window(), "", 5)
    assert isinstance(page, SettlementPage), page
    [it] = page.settlements
    assert (it.gateway_settlement_id, it.status) == (settlement_id, SettlementStatus.SETTLED)
    assert (it.gross, it.adjustment) == (Money(AMOUNT - 5_000 - AMOUNT), Money(700))
    assert it.gross == it.net + it.fee + it.fee_tax + it.adjustment
    assert it.utr
    rows = await rows_of(bench, settlement_id)
    by_kind = {row.kind: row for row in rows}
    assert by_kind.keys() == set(RowKind)
    assert (by_kind[RowKind.PAYMENT].order_id, by_kind[RowKind.PAYMENT].amount) == (order.order_id, Money(AMOUNT))
    assert by_kind[RowKind.PAYMENT].fee.minor > 0
    assert by_kind[RowKind.REFUND].reference in ("rfd_1", refund.gateway_refund_id)
    assert by_kind[RowKind.REFUND].amount == Money(-5_000)
    assert (by_kind[RowKind.DISPUTE].reference, by_kind[RowKind.DISPUTE].amount) == (dispute_id, Money(-AMOUNT))
    assert by_kind[RowKind.ADJUSTMENT].amount == Money(-700)
    assert sum(row.net.minor for row in rows) == it.net.minor
    assert len({row.row_id for row in rows}) == len(rows)
    await bench.webhook(3)
    contents = [bench.gateway.parse_webhook(webhook.body) for webhook in bench.webhooks]
    assert SettlementWebhook(settlement_id, SettlementStatus.SETTLED, it.utr) in contents


@pytest.mark.parametrize(
    "rule", [{"action": "error", "status": 500}, {"action": "garble", "garbage": "truncated"}], ids=str
)
async def test_no_answer_is_unknown_for_these_calls_too(bench: Bench, rule: dict[str, object]) -> None:
    order = await paid(bench)
    assert isinstance(await bench.gateway.create_refund(await request(bench, order), 5), RefundSnapshot)
    await bench.simulator.fault(bench.http, "*", rule)
    gateway = bench.gateway
    for answer in (
        await gateway.read_refund(order, "rfd_1", 1),
        await gateway.read_refunds(order, 1),
        await gateway.read_disputes(order, 1),
        await gateway.read_settlements(window(), "", 1),
        await gateway.read_settlement_rows("1", "", 1),
    ):
        assert isinstance(answer, Unknown)
