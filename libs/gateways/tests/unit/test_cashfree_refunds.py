"""Cashfree's refunds and disputes, as tables: what is sent, and what each answer and webhook is taken for."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from common.money import Money
from gateways import DisputeWebhook, MalformedWebhook, OrderReference, RefundWebhook, Unknown
from gateways.cashfree import disputes, refunds
from gateways.cashfree.webhooks import parse_webhook, summarise_webhook
from gateways.disputes import DisputeSnapshot, DisputeStatus
from gateways.refunds import (
    REFUND_REFUSALS,
    RefundMissing,
    RefundRefused,
    RefundRequest,
    RefundSnapshot,
    RefundSpeed,
    RefundStatus,
)

REFUND = {
    "cf_payment_id": "214978794866624",
    "cf_refund_id": "1319846526",
    "refund_id": "rfd_1",
    "order_id": "ord_1",
    "entity": "refund",
    "refund_amount": 200.5,
    "refund_currency": "INR",
    "refund_status": "PENDING",
    "refund_type": "MERCHANT_INITIATED",
    "refund_mode": "NORMAL",
    "refund_arn": None,
    "processed_at": None,
    "created_at": "2026-08-31T16:41:28+05:30",
}
PENDING = RefundSnapshot("rfd_1", "1319846526", "ord_1", "214978794866624", RefundStatus.PENDING, Money(20_050))
REQUEST = RefundRequest(
    refund_id="rfd_1", order=OrderReference("ord_1"), gateway_payment_id="214978794866624", amount=Money(20_050)
)


def entity(**fields: Any) -> bytes:
    return json.dumps(REFUND | fields).encode()


def error(code: str, message: str = "no") -> bytes:
    return json.dumps({"message": message, "code": code, "type": "invalid_request_error"}).encode()


def test_a_refund_is_asked_for_under_our_id_and_without_an_idempotency_key() -> None:
    """Under a key Cashfree replays a stored 500 for ever; the refund's own id makes a repetition safe."""
    request = refunds.build_create_refund(REQUEST)
    assert (request.method, request.path, request.headers) == ("POST", "/orders/ord_1/refunds", {})
    assert json.loads(request.body) == {"refund_id": "rfd_1", "refund_amount": 200.5, "refund_speed": "STANDARD"}
    instant = RefundRequest(
        refund_id="rfd_1",
        order=OrderReference("ord_1"),
        gateway_payment_id="1",
        amount=Money(1),
        note="n" * 200,
        speed=RefundSpeed.INSTANT,
    )
    sent = json.loads(refunds.build_create_refund(instant).body)
    assert (sent["refund_speed"], len(sent["refund_note"]), sent["refund_amount"]) == ("INSTANT", 100, 0.01)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("SUCCESS", RefundStatus.SUCCESS),
        ("PENDING", RefundStatus.PENDING),
        ("ONHOLD", RefundStatus.PENDING),
        ("CANCELLED", RefundStatus.FAILED),
        ("FAILED", RefundStatus.FAILED),
        ("REVERSED", RefundStatus.REVERSED),
        ("A_WORD_OF_NEXT_YEAR", RefundStatus.PENDING),
    ],
)
def test_words_become_statuses_and_an_unknown_one_decides_nothing(word: str, status: RefundStatus) -> None:
    read = refunds.parse_get_refund("ord_1", "rfd_1", 200, entity(refund_status=word))
    assert isinstance(read, RefundSnapshot)
    assert read.status is status


def test_a_refund_that_succeeded_has_its_bank_reference_and_its_time() -> None:
    body = entity(refund_status="SUCCESS", refund_arn=205907014017, processed_at="2026-08-31T16:45:00+05:30")
    read = refunds.parse_create_refund("ord_1", "rfd_1", 200, body)
    assert isinstance(read, RefundSnapshot)
    assert (read.bank_reference, read.processed_at) == ("205907014017", datetime(2026, 8, 31, 11, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, b"") for status in (201, 302, 401, 403, 429, 500, 502, 503, 504)),
        *((status, error("internal_error")) for status in (401, 429, 500, 503)),
        (400, b"<html>"),
        (404, b"<html>not found</html>"),
        (200, b"not json"),
        (200, entity(refund_id="rfd_2")),
        (200, entity(order_id="ord_2")),
        (200, entity(refund_amount=None)),
        (200, entity(refund_amount=0.001)),
        (200, entity(refund_status=None)),
        (200, entity()[:-1] + b',"refund_status":"SUCCESS"}'),
    ],
)
def test_what_is_no_yes_and_no_no_is_unknown(status: int, body: bytes) -> None:
    assert isinstance(refunds.parse_create_refund("ord_1", "rfd_1", status, body), Unknown)
    assert isinstance(refunds.parse_get_refund("ord_1", "rfd_1", status, body), Unknown)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, error("refund_id_invalid", "Duplicate Merchant Refund Id"), ""),
        (409, error("refund_id_already_exists"), ""),
        (422, error("request_invalid"), ""),
        (400, error("refund_post_failed", "Total amount of Refunds cannot be greater than the transaction amount."),
         "amount_too_large"),
        (400, error("refund_post_failed", "Insufficient balance to process this refund"), "balance_insufficient"),
        (400, error("refund_post_failed", "Refund is not allowed after 6 months"), "window_over"),
        (400, error("refund_post_failed", "there is an open dispute"), "disputed"),
        (400, error("order_id_not_paid", "transaction not found"), "not_paid"),
        (404, error("order_not_found"), "not_paid"),
        (400, error("refund_unsupported"), "refund_unsupported"),
        (400, error("refund_id_invalid", "refund_id format not valid"), "refused"),
        (400, error("refund_speed_invalid"), "refused"),
    ],
)  # fmt: skip
def test_a_refusal_counts_once_the_refund_was_looked_for(status: int, body: bytes, reason: str) -> None:
    refusal = refunds.parse_create_refund("ord_1", "rfd_1", status, body)
    assert refusal == refunds.ReadInstead(reason)
    assert reason == "" or reason in REFUND_REFUSALS
    assert refunds.refused_unless_read(refusal, PENDING) == PENDING
    assert refunds.refused_unless_read(refusal, Unknown("timeout")) == Unknown("timeout")
    missing = refunds.refused_unless_read(refusal, RefundMissing("rfd_1"))
    assert missing == RefundRefused(reason) if reason else isinstance(missing, Unknown)


def test_a_refund_that_nobody_made_is_missing() -> None:
    body = error("refund_get_not_found")
    assert refunds.parse_get_refund("ord_1", "rfd_1", 404, body) == RefundMissing("rfd_1")


def test_an_order_lists_refunds_that_nobody_here_asked_for() -> None:
    dashboard = {**REFUND, "refund_id": "Dashboard_1", "cf_refund_id": "2"}
    automatic = {**REFUND, "refund_id": None, "cf_refund_id": 3, "refund_type": "PAYMENT_AUTO_REFUND"}
    entries = [REFUND, dashboard, automatic, {**REFUND, "refund_amount": "x"}, {**REFUND, "order_id": "ord_2"}, 7]
    read = refunds.parse_get_refunds("ord_1", 200, json.dumps(entries).encode())
    assert not isinstance(read, Unknown)
    assert [(each.refund_id, each.gateway_refund_id, each.is_automatic) for each in read] == [
        ("rfd_1", "1319846526", False),
        ("Dashboard_1", "2", False),
        ("", "3", True),
    ]


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────


def hook(type_: str, **data: Any) -> bytes:
    return json.dumps({"data": data, "event_time": "2026-09-01T10:00:00+05:30", "type": type_}).encode()


def test_a_webhook_says_the_same_of_a_refund_as_the_answer() -> None:
    numbers = {**REFUND, "cf_refund_id": 1319846526, "cf_payment_id": 214978794866624, "entity": "Refund"}
    body = hook("REFUND_STATUS_WEBHOOK", refund=numbers)
    assert parse_webhook(body) == RefundWebhook(PENDING)
    summary = summarise_webhook(body)
    assert (summary.order_id, summary.gateway_payment_id) == ("ord_1", "214978794866624")
    assert (summary.gateway_refund_id, summary.gateway_status) == ("1319846526", "PENDING")


@pytest.mark.parametrize(("word", "status"), [("INITIATED", RefundStatus.PENDING), ("SUCCESS", RefundStatus.SUCCESS)])
def test_a_refund_that_the_gateway_made_by_itself_says_so(word: str, status: RefundStatus) -> None:
    refund = {
        "event": "AUTO-REFUND",
        "cf_refund_id": 1243460973,
        "cf_payment_id": "2148333968",
        "order_id": "ord_1",
        "refund_amount": 39,
        "refund_currency": "INR",
        "refund_arn": "205907014017",
        "refund_status": word,
        "refund_reason": "Multiple payments were performed against same order.",
        "processed_at": None,
    }
    read = parse_webhook(hook("AUTO_REFUND_STATUS_WEBHOOK", auto_refund=refund))
    assert read == RefundWebhook(
        RefundSnapshot("", "1243460973", "ord_1", "2148333968", status, Money(3_900), "205907014017", True)
    )


@pytest.mark.parametrize("field", ["order_id", "refund_status", "refund_amount", "refund_currency"])
def test_a_webhook_without_what_decides_is_malformed(field: str) -> None:
    body = hook("REFUND_STATUS_WEBHOOK", refund={**REFUND, field: None})
    assert isinstance(parse_webhook(body), MalformedWebhook)
    assert summarise_webhook(body).identity == ""


# ── Disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────

STAGES = ["DISPUTE", "CHARGEBACK", "RETRIEVAL", "PRE_ARBITRATION", "ARBITRATION"]
ENDINGS = {
    "CREATED": DisputeStatus.OPEN,
    "DOCS_RECEIVED": DisputeStatus.UNDER_REVIEW,
    "UNDER_REVIEW": DisputeStatus.UNDER_REVIEW,
    "MERCHANT_WON": DisputeStatus.WON,
    "MERCHANT_LOST": DisputeStatus.LOST,
    "MERCHANT_ACCEPTED": DisputeStatus.LOST,
    "INSUFFICIENT_EVIDENCE": DisputeStatus.OPEN,
}
ORDER_DETAILS = {"order_id": "ord_1", "order_currency": "INR", "order_amount": 10, "cf_payment_id": 1489901523}
LISTED = {
    "dispute_id": 433447817,
    "dispute_type": "DISPUTE",
    "reason_code": 1401,
    "reason_description": "Fraud Transaction",
    "dispute_amount": 10,
    "dispute_amount_currency": "INR",
    "created_at": "2023-01-18T11:26:58",
    "respond_by": "2023-01-19T00:00:00",
    "updated_at": "2023-01-18T11:26:58",
    "resolved_at": "9999-09-09T00:00:00",
    "dispute_status": "DISPUTE_CREATED",
    "order_details": ORDER_DETAILS,
    "customer_details": {"customer_phone": 9876543210},
}
OPEN = DisputeSnapshot(
    "433447817",
    "ord_1",
    "1489901523",
    DisputeStatus.OPEN,
    Money(1_000),
    "1401",
    datetime(2023, 1, 18, 18, 30, tzinfo=UTC),
    datetime(2023, 1, 18, 5, 56, 58, tzinfo=UTC),
)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_each_of_the_35_statuses_has_its_meaning(stage: str, ending: str) -> None:
    entry = {**LISTED, "dispute_status": f"{stage}_{ending}"}
    read = disputes.parse_get_disputes("ord_1", 200, json.dumps([entry]).encode())
    assert not isinstance(read, Unknown)
    assert [each.status for each in read] == [ENDINGS[ending]]


def test_an_order_lists_its_disputes_with_deadlines_in_indias_time() -> None:
    entries = [LISTED, {**LISTED, "dispute_id": None}, {**LISTED, "dispute_status": "NEXT_YEARS_WORD"}, None]
    assert disputes.parse_get_disputes("ord_1", 200, json.dumps(entries).encode()) == [OPEN, OPEN]
    assert disputes.parse_get_disputes("ord_1", 200, b"[]") == []
    assert isinstance(disputes.parse_get_disputes("ord_1", 404, error("order_not_found")), Unknown)


@pytest.mark.parametrize("type_", ["DISPUTE_CREATED", "DISPUTE_UPDATED", "DISPUTE_CLOSED"])
def test_a_webhook_says_the_same_of_a_dispute_as_the_answer(type_: str) -> None:
    webhook = {**LISTED, "dispute_id": "433447817", "reason_code": "1401", "updated_at": "2023-01-18T11:26:58+05:30"}
    own = {key: value for key, value in webhook.items() if not key.endswith(("_details", "_currency"))}
    body = hook(type_, dispute=own, order_details=ORDER_DETAILS)
    assert parse_webhook(body) == DisputeWebhook(OPEN)
    summary = summarise_webhook(body)
    assert (summary.order_id, summary.gateway_payment_id) == ("ord_1", "1489901523")
    assert summary.identity


def test_a_dispute_that_was_closed_to_the_nanosecond_is_read() -> None:
    closed = {
        **LISTED,
        "dispute_status": "CHARGEBACK_MERCHANT_WON",
        "updated_at": "2023-06-15T21:16:51.682836678+05:30",
    }
    read = parse_webhook(hook("DISPUTE_CLOSED", dispute=closed, order_details=ORDER_DETAILS))
    assert isinstance(read, DisputeWebhook)
    assert read.dispute.updated_at == datetime(2023, 6, 15, 15, 46, 51, 682836, tzinfo=UTC)
