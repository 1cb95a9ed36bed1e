"""Whatever Razorpay sends or somebody signs: what is read can be stored, compared and shown, and nothing raises."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import times
from common.money import Money
from common.testing import hostile
from gateways import (
    DisputeWebhook,
    IgnoredWebhook,
    MalformedWebhook,
    OrderMissing,
    OrderRefused,
    OrderSnapshot,
    PaymentAttempt,
    PaymentWebhook,
    RefundWebhook,
    SettlementWebhook,
    Unknown,
    WebhookSummary,
)
from gateways.bounds import MINOR_MAX
from gateways.orders import OrderReference
from gateways.razorpay import attempts, disputes, orders, refunds, settlements, webhooks
from gateways.razorpay.testing import payment_entity
from gateways.refunds import RefundRefused, RefundRequest, RefundSnapshot

OWN_ID = "order_DESlLckIVRkHWj"
PAYMENT = payment_entity(card={"id": "card_1", "type": "credit"}, error_reason="insufficient_funds")
ORDER = {
    "id": OWN_ID,
    "amount": 50_000,
    "currency": "INR",
    "receipt": "ord_1",
    "status": "paid",
    "notes": {"payment_id": "pay_1"},
}
REFUND = {
    "id": "rfnd_1",
    "amount": 5_000,
    "currency": "INR",
    "payment_id": PAYMENT["id"],
    "notes": {"refund_id": "rfd_1"},
    "receipt": "rfd_1",
    "acquirer_data": {"arn": "1000"},
    "created_at": 1_767_225_600,
    "status": "processed",
}
DISPUTE = {
    "id": "disp_1",
    "payment_id": PAYMENT["id"],
    "amount": 17_000,
    "currency": "INR",
    "amount_deducted": 0,
    "reason_code": "fraud",
    "respond_by": 1_767_825_600,
    "status": "open",
    "created_at": 1_767_225_600,
}
SETTLEMENT = {
    "id": "setl_1",
    "amount": 97_100,
    "status": "processed",
    "fees": 0,
    "tax": 0,
    "utr": "1568176960vxp0rj",
    "created_at": 1_767_225_600,
}
ROW = {
    "entity_id": "rfnd_1",
    "type": "refund",
    "debit": 5_000,
    "credit": 0,
    "amount": 5_000,
    "currency": "INR",
    "fee": 10,
    "tax": 2,
    "settled_at": 1_767_225_600,
    "settlement_id": "setl_1",
    "payment_id": PAYMENT["id"],
    "order_receipt": "ord_1",
    "notes": '{"refund_id": "rfd_1"}',
}
WEBHOOK = {
    "event": "payment.captured",
    "created_at": 1_767_225_600,
    "payload": {
        "payment": {"entity": PAYMENT},
        "order": {"entity": ORDER},
        "refund": {"entity": REFUND},
        "dispute": {"entity": DISPUTE},
        "settlement": {"entity": SETTLEMENT},
    },
}
ERROR = {"error": {"code": "BAD_REQUEST_ERROR", "description": "The id provided does not exist", "reason": "NA"}}
EVENTS = sorted(webhooks.READERS)
REQUEST = RefundRequest(
    refund_id="rfd_1",
    order=OrderReference("ord_1", OWN_ID),
    gateway_payment_id=str(PAYMENT["id"]),
    amount=Money(5_000),
)

statuses = st.sampled_from([200, 201, 302, 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503])


def body_of(document: Any) -> st.SearchStrategy[bytes]:
    return hostile.mutated(document).map(hostile.encode) | hostile.bodies


def listed(document: Any) -> st.SearchStrategy[tuple[int, bytes]]:
    """A list of changed entities and a good one at its end: how many there are, and the body."""
    changed = st.lists(hostile.mutated(document).filter(hostile.is_json), max_size=3)
    return changed.map(lambda some: (len(some) + 1, hostile.encode({"items": [*some, document]})))


def assert_storable(*texts: str | None) -> None:
    for text in texts:
        if text is not None:
            assert text.isprintable(), ascii(text)
            assert len(text) <= 128


def assert_times(*moments: datetime | None) -> None:
    for moment in moments:
        assert moment is None or times.FIRST <= moment < times.END


def assert_sound(attempt: PaymentAttempt) -> None:
    assert_storable(attempt.order_id, attempt.gateway_payment_id, attempt.method, attempt.group)
    assert_storable(attempt.bank_reference, attempt.reason)
    assert attempt.gateway_payment_id
    assert_times(attempt.at)
    assert attempt.amount is None or 0 <= attempt.amount.minor <= MINOR_MAX


def assert_refund(refund: RefundSnapshot) -> None:
    assert_storable(refund.refund_id, refund.gateway_refund_id, refund.gateway_payment_id, refund.bank_reference)
    assert refund.gateway_refund_id
    assert refund.gateway_payment_id
    assert 0 <= refund.amount.minor <= MINOR_MAX
    assert_times(refund.processed_at)


def assert_read(content: object) -> None:
    match content:
        case PaymentWebhook():
            assert_storable(content.order_id, content.gateway_order_id)
            assert content.gateway_order_id
            assert_sound(content.attempt)
        case RefundWebhook():
            assert content.gateway_order_id
            assert_refund(content.refund)
        case DisputeWebhook():
            assert content.gateway_order_id
            assert_storable(content.dispute.gateway_dispute_id, content.dispute.reason_code)
            assert_times(content.dispute.respond_by, content.dispute.updated_at)
        case SettlementWebhook():
            assert_storable(content.gateway_settlement_id, content.utr)
            assert content.gateway_settlement_id
        case _:
            assert isinstance(content, IgnoredWebhook | MalformedWebhook)


@hostile.pure
@given(st.sampled_from(EVENTS).flatmap(lambda event: body_of({**WEBHOOK, "event": event})))
def test_a_webhook_is_read_or_said_to_be_unreadable(body: bytes) -> None:
    content = webhooks.parse_webhook(body)
    assert_read(content)
    summary = webhooks.summarise_webhook(body)
    assert_storable(summary.type, summary.order_id, summary.gateway_payment_id, summary.gateway_refund_id)
    assert_storable(summary.gateway_status)
    assert_times(summary.event_time)
    if isinstance(content, MalformedWebhook | IgnoredWebhook):
        assert summary.identity == ""


def test_every_kind_of_webhook_is_read_when_it_is_genuine() -> None:
    kinds = {type(webhooks.parse_webhook(hostile.encode({**WEBHOOK, "event": event}))) for event in EVENTS}
    assert kinds == {PaymentWebhook, RefundWebhook, DisputeWebhook, SettlementWebhook}


def claim_of(content: object) -> tuple[object, ...]:
    """What payment acts on; the rest is merely shown."""
    assert isinstance(content, PaymentWebhook), content
    attempt = content.attempt
    own = (content.order_id, content.gateway_order_id)
    return (*own, attempt.gateway_payment_id, attempt.status, attempt.amount)


@hostile.pure
@given(body_of({**WEBHOOK, "payload": {"payment": {"entity": PAYMENT}}}))
def test_a_body_makes_no_duplicate_of_one_that_claims_something_else(body: bytes) -> None:
    genuine = hostile.encode({**WEBHOOK, "payload": {"payment": {"entity": PAYMENT}}})
    if webhooks.summarise_webhook(body).identity == webhooks.summarise_webhook(genuine).identity:
        assert claim_of(webhooks.parse_webhook(body)) == claim_of(webhooks.parse_webhook(genuine))


@pytest.mark.parametrize(
    "parse",
    [
        orders.parse_create_order,
        lambda order_id, status, body: orders.parse_get_order(order_id, OWN_ID, status, body),
        orders.parse_find_order,
    ],
    ids=["create", "get", "find"],
)
@hostile.pure
@given(body_of(ORDER) | body_of(ERROR) | body_of({"items": [ORDER]}), statuses)
def test_an_answer_about_an_order_is_read_or_unknown(
    parse: Callable[[str, int, bytes], object], body: bytes, status: int
) -> None:
    answer = parse("ord_1", status, body)
    assert isinstance(answer, OrderSnapshot | OrderMissing | OrderRefused | orders.ReadInstead | Unknown)
    if isinstance(answer, OrderSnapshot):
        assert (answer.order_id, 0 <= answer.amount.minor <= MINOR_MAX) == ("ord_1", True)
        assert_storable(answer.gateway_order_id, answer.session_id, answer.payment_id)
    if isinstance(answer, OrderRefused):
        assert_storable(answer.code)
        assert answer.code


@hostile.pure
@given(listed(PAYMENT))
def test_a_list_of_attempts_is_read_entry_by_entry(entries: tuple[int, bytes]) -> None:
    shown = attempts.parse_get_payments("ord_1", OWN_ID, 200, entries[1])
    assert not isinstance(shown, Unknown)
    for each in shown:
        assert_sound(each)
    assert ("pay_DESlfW9H8K9uqM", Money(17_000)) in [(each.gateway_payment_id, each.amount) for each in shown]


@hostile.pure
@given(listed(REFUND))
def test_a_list_of_refunds_is_read_entry_by_entry(entries: tuple[int, bytes]) -> None:
    shown = refunds.parse_get_refunds("ord_1", str(PAYMENT["id"]), 200, entries[1])
    assert not isinstance(shown, Unknown)
    for each in shown:
        assert_refund(each)
    assert shown[-1].refund_id == "rfd_1"


def test_a_refund_is_not_missing_where_an_entry_cannot_be_read() -> None:
    """The entry may be that refund: it would be made a second time."""
    body = hostile.encode({"items": [REFUND, {**REFUND, "amount": "much"}]})
    payment_id = str(PAYMENT["id"])
    assert isinstance(refunds.parse_get_refunds("ord_1", payment_id, 200, body, whole=True), Unknown)
    assert len(refunds.parse_get_refunds("ord_1", payment_id, 200, body)) == 1  # type: ignore[arg-type]


@hostile.pure
@given(listed(DISPUTE))
def test_a_list_of_disputes_is_read_entry_by_entry(entries: tuple[int, bytes]) -> None:
    result = disputes.parse_get_disputes("ord_1", {str(PAYMENT["id"])}, 200, entries[1])
    assert not isinstance(result, Unknown)
    assert result[0][-1].gateway_dispute_id == "disp_1"
    for each in result[0]:
        assert_storable(each.gateway_dispute_id, each.reason_code)


@hostile.pure
@given(listed(SETTLEMENT), listed(ROW))
def test_settlements_and_rows_are_read_entry_by_entry(page: tuple[int, bytes], report: tuple[int, bytes]) -> None:
    shown = settlements.parse_get_settlements(200, page[1])
    rows = settlements.parse_get_report(200, report[1])
    assert isinstance(shown, Sequence)
    assert isinstance(rows, Sequence)
    assert (len(shown), len(rows)) == (page[0], report[0])
    own = [row for row in rows if row is not None]
    for row in own:
        assert_storable(row.row_id, row.order_id, row.gateway_payment_id, row.reference, row.utr)
        assert row.amount == row.net + row.fee + row.fee_tax
    last = shown[-1]
    assert last is not None
    complete = settlements.with_rows(last, own)
    assert complete is not None
    assert complete.gross == complete.net + complete.fee + complete.fee_tax + complete.adjustment


@hostile.pure
@given(body_of({"items": [PAYMENT, REFUND, DISPUTE, SETTLEMENT, ROW]}) | body_of(REFUND) | body_of(ERROR), statuses)
def test_other_answers_are_unknown(body: bytes, status: int) -> None:
    assert isinstance(attempts.parse_get_payments("ord_1", OWN_ID, status, body), Unknown | list)
    assert isinstance(refunds.parse_get_refunds("ord_1", "pay_1", status, body), Unknown | list)
    assert isinstance(disputes.parse_get_disputes("ord_1", set(), status, body), Unknown | tuple)
    assert isinstance(settlements.parse_get_settlements(status, body), Unknown | list)
    assert isinstance(settlements.parse_get_report(status, body), Unknown | list)
    made = refunds.parse_create_refund("ord_1", REQUEST, status, body)
    assert isinstance(made, RefundSnapshot | RefundRefused | refunds.ReadInstead | Unknown)


@hostile.pure
@given(st.dictionaries(st.sampled_from(["x-razorpay-signature", "x-razorpay-event-id"]), hostile.texts))
def test_the_headers_of_a_webhook_are_read(headers: dict[str, str]) -> None:
    assert webhooks.read_signature(headers).signed_at is None


def test_depth_and_length_are_no_reason_to_raise() -> None:
    for body in (b"[" * 100_000, b'{"payload":' * 100_000, b'{"event":"' + b"x" * 10**6 + b'"}'):
        assert webhooks.summarise_webhook(body) == WebhookSummary()
        assert isinstance(webhooks.parse_webhook(body), MalformedWebhook | IgnoredWebhook)
        assert isinstance(attempts.parse_get_payments("ord_1", OWN_ID, 200, body), Unknown)
        assert isinstance(orders.parse_get_order("ord_1", OWN_ID, 200, body), Unknown)
        assert isinstance(orders.parse_find_order("ord_1", 200, body), Unknown)
        assert isinstance(settlements.parse_get_report(200, body), Unknown)
