"""Whatever a gateway sends or somebody signs: what is read can be stored, compared and shown, and nothing raises."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
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
from gateways.cashfree import amounts, attempts, disputes, orders, refunds, settlements, webhooks
from gateways.cashfree.webhooks import read_signature
from gateways.disputes import DisputeSnapshot
from gateways.refunds import RefundMissing, RefundSnapshot
from gateways.registry import ADAPTERS
from gateways.settlements import SettlementPage, SettlementRowPage
from gateways.verification import WebhookTimestampInvalid

ORDER = {
    "cf_order_id": "2149460581",
    "order_id": "ord_1",
    "order_amount": 500,
    "order_currency": "INR",
    "order_status": "PAID",
    "payment_session_id": "session_x",
    "order_tags": {"payment_id": "pay_1"},
}
ATTEMPT = {
    "cf_payment_id": "12376123",
    "order_id": "ord_1",
    "payment_status": "SUCCESS",
    "payment_amount": 500.00,
    "payment_currency": "INR",
    "order_amount": 500,
    "order_currency": "INR",
    "payment_group": "upi",
    "payment_method": {"upi": {"upi_id": "asha@bank"}},
    "payment_time": "2026-04-01T15:30:00+05:30",
    "payment_completion_time": "2026-04-01T15:30:00+05:30",
    "bank_reference": "P78112898712",
    "is_captured": True,
    "error_details": {"error_code": "TRANSACTION_DECLINED", "error_reason": "insufficient_funds"},
}
REFUND = {
    "cf_payment_id": "12376123",
    "cf_refund_id": 11325632,
    "refund_id": "rfd_1",
    "order_id": "ord_1",
    "refund_amount": 200.5,
    "refund_currency": "INR",
    "refund_status": "SUCCESS",
    "refund_type": "MERCHANT_INITIATED",
    "refund_arn": "205907014017",
    "processed_at": "2026-04-01T15:30:00+05:30",
}
DISPUTED_ORDER = {"order_id": "ord_1", "order_currency": "INR", "cf_payment_id": 12376123}
DISPUTE = {
    "dispute_id": 433447817,
    "reason_code": 1401,
    "dispute_amount": 10,
    "dispute_amount_currency": "INR",
    "created_at": "2026-04-01T15:30:00",
    "respond_by": "2026-04-03T00:00:00",
    "updated_at": "2026-04-01T15:30:00",
    "dispute_status": "CHARGEBACK_CREATED",
    "order_details": DISPUTED_ORDER,
}
SETTLEMENT = {
    "cf_settlement_id": "738",
    "status": "SUCCESS",
    "settlement_utr": "1644822317781212",
    "settlement_processed_on": "2026-04-01T15:30:00+05:30",
    "payment_amount": 100,
    "pg_service_charge": 1.7549,
    "pg_service_tax": 0.31,
    "amount_settled": 97.94,
}
ROW = {
    "event_details": {
        "event_id": "43594",
        "event_type": "REFUND",
        "event_settlement_amount": 97.94,
        "event_amount": 100,
        "sale_type": "DEBIT",
        "event_time": "2026-04-01T15:30:00+05:30",
        "event_currency": "INR",
        "event_service_tax": 0.31,
    },
    "order_details": {"order_id": "ord_1"},
    "payment_details": {"cf_payment_id": "553338"},
    "settlement_details": {"cf_settlement_id": "738", "utr": "1644822317781212"},
    "refund_details": [{"refund_id": "rfd_1"}],
}
WEBHOOK = {
    "data": {
        "order": {"order_id": "ord_1", "order_amount": 500.00, "order_currency": "INR", "order_tags": None},
        "payment": ATTEMPT,
        "refund": REFUND,
        "dispute": DISPUTE,
        "order_details": DISPUTED_ORDER,
        "settlement": {"settlement_id": 1, "status": "SUCCESS", "utr": 1644822317781212},
        "customer_details": {"customer_email": "asha@example.in"},
    },
    "event_time": "2026-04-01T15:30:00+05:30",
    "type": "PAYMENT_SUCCESS_WEBHOOK",
}
TYPES = sorted(webhooks.READERS)
ERROR = {"message": "no", "code": "order_not_found", "type": "invalid_request_error"}

statuses = st.sampled_from([200, 201, 302, 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503])


def body_of(document: Any) -> st.SearchStrategy[bytes]:
    return hostile.mutated(document).map(hostile.encode) | hostile.bodies


def assert_storable(*texts: str | None) -> None:
    for text in texts:
        if text is not None:
            assert text.isprintable(), ascii(text)
            assert len(text) <= 1_024


def assert_sound(attempt: PaymentAttempt) -> None:
    assert_storable(attempt.order_id, attempt.gateway_payment_id, attempt.method, attempt.group)
    assert_storable(attempt.bank_reference, attempt.reason)
    assert attempt.gateway_payment_id
    assert attempt.at is None or times.FIRST <= attempt.at < times.END
    for money in (attempt.amount, attempt.order_amount):
        assert money is None or 0 <= money.minor <= amounts.MINOR_MAX


def assert_money(*amounts_: Money | None) -> None:
    for money in amounts_:
        assert money is None or abs(money.minor) <= 4 * amounts.MINOR_MAX


def assert_refund(refund: RefundSnapshot) -> None:
    assert_storable(refund.refund_id, refund.gateway_refund_id, refund.order_id, refund.gateway_payment_id)
    assert_storable(refund.bank_reference)
    assert refund.order_id
    assert refund.refund_id or refund.gateway_refund_id
    assert 0 <= refund.amount.minor <= amounts.MINOR_MAX
    assert refund.processed_at is None or times.FIRST <= refund.processed_at < times.END


def assert_dispute(dispute: DisputeSnapshot) -> None:
    assert_storable(dispute.gateway_dispute_id, dispute.order_id, dispute.gateway_payment_id, dispute.reason_code)
    assert dispute.gateway_dispute_id
    assert dispute.order_id
    assert 0 <= dispute.amount.minor <= amounts.MINOR_MAX
    for moment in (dispute.respond_by, dispute.updated_at):
        assert moment is None or times.FIRST <= moment < times.END


def assert_read(content: object) -> None:
    match content:
        case PaymentWebhook():
            assert_storable(content.order_id)
            assert_sound(content.attempt)
        case RefundWebhook():
            assert_refund(content.refund)
        case DisputeWebhook():
            assert_dispute(content.dispute)
        case SettlementWebhook():
            assert_storable(content.gateway_settlement_id, content.utr)
            assert content.gateway_settlement_id
        case _:
            assert isinstance(content, IgnoredWebhook | MalformedWebhook)


@hostile.pure
@given(st.sampled_from(TYPES).flatmap(lambda type_: body_of({**WEBHOOK, "type": type_})))
def test_a_webhook_is_read_or_said_to_be_unreadable(body: bytes) -> None:
    for adapter in ADAPTERS.values():
        content = adapter.parse_webhook(body)
        assert_read(content)
        summary = adapter.summarise_webhook(body)
        assert isinstance(summary, WebhookSummary)
        assert_storable(summary.type, summary.order_id, summary.gateway_payment_id, summary.gateway_refund_id)
        assert_storable(summary.gateway_status)
        assert summary.event_time is None or times.FIRST <= summary.event_time < times.END
        summary.identity.encode()
        if isinstance(content, MalformedWebhook):
            assert summary.identity == ""


def test_every_kind_of_webhook_is_read_when_it_is_genuine() -> None:
    kinds = {type(webhooks.parse_webhook(hostile.encode({**WEBHOOK, "type": type_}))) for type_ in TYPES}
    assert kinds == {PaymentWebhook, RefundWebhook, DisputeWebhook, SettlementWebhook}


GENUINE = {**WEBHOOK, "data": {"order": WEBHOOK["data"]["order"], "payment": ATTEMPT}}


def claim_of(content: object) -> tuple[object, ...]:
    """What payment acts on; the rest is merely shown."""
    assert isinstance(content, PaymentWebhook), content
    attempt = content.attempt
    return content.order_id, attempt.gateway_payment_id, attempt.status, attempt.order_amount, attempt.amount


# Each field that decides: as it was, absent, or another value.
CLAIMS = st.fixed_dictionaries(
    {
        ("order", "order_id"): st.sampled_from(["ord_1", "ord_2", None, "\0"]),
        ("order", "order_amount"): st.sampled_from([500, 500.0, 1, 0.001, None, "500"]),
        ("order", "order_currency"): st.sampled_from(["INR", "USD", "XXX", None]),
        ("payment", "cf_payment_id"): st.sampled_from(["12376123", 12376123, "2", None]),
        ("payment", "payment_status"): st.sampled_from(["SUCCESS", "PENDING", "odd", None]),
        ("payment", "payment_amount"): st.sampled_from([500, 500.0, 500.01, None]),
        ("payment", "payment_currency"): st.sampled_from(["INR", "USD", None]),
        ("payment", "is_captured"): st.sampled_from([True, False, None]),
    }
)


def changed(claims: dict[tuple[str, str], object]) -> bytes:
    data: dict[str, dict[str, object]] = {part: dict(GENUINE["data"][part]) for part in ("order", "payment")}  # type: ignore[index]
    for (part, field), value in claims.items():
        data[part][field] = value
    return hostile.encode({**GENUINE, "data": data})


def one_field(claims: dict[tuple[str, str], object]) -> st.SearchStrategy[bytes]:
    return st.sampled_from(sorted(claims)).map(lambda field: changed({field: claims[field]}))


@hostile.pure
@given(CLAIMS.flatmap(one_field) | CLAIMS.map(changed) | body_of(GENUINE) | body_of(WEBHOOK))
def test_a_body_makes_no_duplicate_of_one_that_claims_something_else(body: bytes) -> None:
    """And what is malformed makes none of anything: only its own bytes repeat it."""
    identity = webhooks.summarise_webhook(body).identity
    claim = webhooks.parse_webhook(body)
    if isinstance(claim, MalformedWebhook):
        assert identity == ""
    genuine = hostile.encode(GENUINE)
    if identity == webhooks.summarise_webhook(genuine).identity:
        assert claim_of(claim) == claim_of(webhooks.parse_webhook(genuine))


@hostile.pure
@given(st.lists(hostile.mutated(ATTEMPT).filter(hostile.is_json), max_size=3), statuses)
def test_a_list_of_attempts_is_read_entry_by_entry(entries: list[Any], status: int) -> None:
    listed = attempts.parse_get_payments("ord_1", status, hostile.encode([*entries, ATTEMPT]))
    assert isinstance(listed, Unknown | Sequence)
    if isinstance(listed, Unknown):
        assert status != 200
        return
    for each in listed:
        assert_sound(each)
    # The good one is last, and there whatever came before it.
    assert (listed[-1].gateway_payment_id, listed[-1].amount) == ("12376123", Money(50_000))


@hostile.pure
@given(hostile.bodies, statuses)
def test_other_answers_to_a_list_are_unknown(body: bytes, status: int) -> None:
    assert isinstance(attempts.parse_get_payments("ord_1", status, body), Unknown | list)


@pytest.mark.parametrize(
    "parse", [orders.parse_create_order, orders.parse_get_order, orders.parse_terminate_order], ids=lambda f: f.__name__
)
@hostile.pure
@given(body_of(ORDER) | body_of(ERROR), statuses)
def test_an_answer_about_an_order_is_read_or_unknown(
    parse: Callable[[str, int, bytes], object], body: bytes, status: int
) -> None:
    answer = parse("ord_1", status, body)
    assert isinstance(answer, OrderSnapshot | OrderMissing | OrderRefused | orders.ReadInstead | Unknown)
    if isinstance(answer, OrderSnapshot):
        assert (answer.order_id, 0 <= answer.amount.minor <= amounts.MINOR_MAX) == ("ord_1", True)
        assert_storable(answer.gateway_order_id, answer.session_id, answer.payment_id)
    if isinstance(answer, OrderRefused):
        assert_storable(answer.code)
        assert answer.code


@hostile.pure
@given(body_of(REFUND) | body_of(ERROR), statuses)
def test_an_answer_about_a_refund_is_read_or_unknown(body: bytes, status: int) -> None:
    made = refunds.parse_create_refund("ord_1", "rfd_1", status, body)
    assert isinstance(made, RefundSnapshot | refunds.ReadInstead | Unknown)
    read = refunds.parse_get_refund("ord_1", "rfd_1", status, body)
    assert isinstance(read, RefundSnapshot | RefundMissing | Unknown)
    if isinstance(read, RefundSnapshot):
        assert_refund(read)
        assert (read.refund_id, read.order_id) == ("rfd_1", "ord_1")


@hostile.pure
@given(st.lists(hostile.mutated(REFUND).filter(hostile.is_json), max_size=3), statuses)
def test_a_list_of_refunds_is_read_entry_by_entry(entries: list[Any], status: int) -> None:
    listed = refunds.parse_get_refunds("ord_1", status, hostile.encode([*entries, REFUND]))
    assert isinstance(listed, Unknown) == (status != 200)
    if not isinstance(listed, Unknown):
        for each in listed:
            assert_refund(each)
        assert listed[-1].refund_id == "rfd_1"


@hostile.pure
@given(st.lists(hostile.mutated(DISPUTE).filter(hostile.is_json), max_size=3), statuses)
def test_a_list_of_disputes_is_read_entry_by_entry(entries: list[Any], status: int) -> None:
    listed = disputes.parse_get_disputes("ord_1", status, hostile.encode([*entries, DISPUTE]))
    assert isinstance(listed, Unknown) == (status != 200)
    if not isinstance(listed, Unknown):
        for each in listed:
            assert_dispute(each)
        assert listed[-1].gateway_dispute_id == "433447817"


@hostile.pure
@given(st.lists(hostile.mutated(SETTLEMENT).filter(hostile.is_json), max_size=3))
def test_a_page_of_settlements_is_read_entry_by_entry(entries: list[Any]) -> None:
    page = settlements.parse_get_settlements(200, hostile.encode({"data": [*entries, SETTLEMENT], "cursor": None}), "")
    assert not isinstance(page, Unknown)
    assert len(page.settlements) + page.unreadable == len(entries) + 1
    for each in page.settlements:
        assert_storable(each.gateway_settlement_id, each.utr)
        assert each.gateway_settlement_id
        assert_money(each.gross, each.fee, each.fee_tax, each.net)
        assert each.gross == each.net + each.fee + each.fee_tax + each.adjustment
    assert page.settlements[-1].gateway_settlement_id == "738"


@hostile.pure
@given(st.lists(hostile.mutated(ROW).filter(hostile.is_json), max_size=3))
def test_a_page_of_rows_is_read_entry_by_entry(entries: list[Any]) -> None:
    page = settlements.parse_get_rows("738", 200, hostile.encode({"data": [*entries, ROW], "cursor": None}), "")
    assert not isinstance(page, Unknown)
    assert len(page.rows) + page.unreadable == len(entries) + 1
    for each in page.rows:
        assert_storable(each.row_id, each.order_id, each.gateway_payment_id, each.reference, each.utr)
        assert each.row_id
        assert_money(each.amount, each.fee, each.fee_tax, each.net)
        assert each.amount == each.net + each.fee + each.fee_tax
    assert page.rows[-1].row_id == "REFUND:43594"


@hostile.pure
@given(body_of({"data": [SETTLEMENT, ROW], "cursor": "c", "limit": 2}), statuses)
def test_another_page_is_read_or_unknown(body: bytes, status: int) -> None:
    assert isinstance(settlements.parse_get_settlements(status, body, ""), SettlementPage | Unknown)
    assert isinstance(settlements.parse_get_rows("738", status, body, ""), SettlementRowPage | Unknown)


@hostile.pure
@given(
    st.sampled_from(hostile.NUMBERS).filter(lambda text: text[0] != "0" or text == "00") | st.decimals().map(str),
    st.sampled_from(["INR", "JPY", "KWD", "inr", "", "XXX", "\0"]),
)
def test_an_amount_is_exact_or_refused(text: str, currency: str) -> None:
    try:
        amount = Decimal(text)
    except ArithmeticError:
        return
    try:
        money = amounts.parse_rupees(amount, currency)
    except ValueError:
        return
    assert 0 <= money.minor <= amounts.MINOR_MAX
    assert Decimal(money.minor).scaleb(-{"INR": 2, "JPY": 0, "KWD": 3}[currency]) == amount


@hostile.pure
@given(
    st.dictionaries(
        st.sampled_from(["x-webhook-timestamp", "x-webhook-signature", "x-webhook-version", "x-webhook-attempt"]),
        hostile.texts,
    )
)
def test_the_headers_of_a_webhook_are_read_or_refused(headers: dict[str, str]) -> None:
    try:
        given_signature = read_signature(headers)
    except WebhookTimestampInvalid:
        return
    assert given_signature.attempt >= 0
    assert_storable(given_signature.version)
    signed_at = given_signature.signed_at
    assert signed_at is not None
    # What compares it with the clock must not overflow.
    assert abs(datetime(2026, 1, 1, tzinfo=UTC) - signed_at) < timedelta(days=366 * 300)


def test_depth_and_length_are_no_reason_to_raise() -> None:
    for body in (b"[" * 100_000, b'{"data":' * 100_000, json.dumps({"type": "x" * 10**6}).encode()):
        assert webhooks.summarise_webhook(body) == WebhookSummary()
        assert isinstance(webhooks.parse_webhook(body), MalformedWebhook | IgnoredWebhook)
        assert isinstance(attempts.parse_get_payments("ord_1", 200, body), Unknown)
        assert isinstance(orders.parse_get_order("ord_1", 200, body), Unknown)
        assert isinstance(refunds.parse_get_refunds("ord_1", 200, body), Unknown)
        assert isinstance(disputes.parse_get_disputes("ord_1", 200, body), Unknown)
        assert isinstance(settlements.parse_get_settlements(200, body, ""), Unknown)
        assert isinstance(settlements.parse_get_rows("738", 200, body, ""), Unknown)
