"""Razorpay's webhooks: signatures against published vectors, what each event says, and what identifies one."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.money import Money
from gateways import (
    AttemptStatus,
    DisputeWebhook,
    GatewayAccount,
    IgnoredWebhook,
    MalformedWebhook,
    PaymentWebhook,
    RefundWebhook,
    SettlementWebhook,
    WebhookSummary,
)
from gateways.disputes import DisputeStatus
from gateways.razorpay.testing import SECRET, payment_body, payment_entity, signed_headers
from gateways.razorpay.webhooks import parse_webhook, summarise_webhook
from gateways.refunds import RefundStatus
from gateways.registry import adapter
from gateways.settlements import SettlementStatus
from gateways.verification import WebhookSignatureInvalid, WebhookSource

DAY = timedelta(days=1)
NOW = datetime(2026, 4, 1, tzinfo=UTC)
V5 = (
    b'{"entity":"event","account_id":"acc_SIM00000000001","event":"payment.captured","contains":["payment"],'
    b'"payload":{"payment":{"entity":{"id":"pay_SIM00000000001","entity":"payment","amount":50000,"currency":"INR",'
    b'"status":"captured","order_id":"order_SIM00000000001"}}},"created_at":1767225600}'
)
V6 = '{"notes":{"city":"ಬೆಂಗಳೂರು ₹"}}'.encode()
VECTORS = {
    "V5": (V5, "5986bb1c4cdb21015373663663a5131ff0e8e7dfd2b033cc046d540e9d8f6830"),
    "V6": (V6, "29f1037afa04c86053424afc89040b538194e26c25b0d5542f531a435a7c387f"),
}
REFUND = {
    "id": "rfnd_FP8QHiV938haTz",
    "entity": "refund",
    "amount": 5_000,
    "currency": "INR",
    "payment_id": "pay_DESlfW9H8K9uqM",
    "notes": {"refund_id": "rfd_1"},
    "receipt": None,
    "acquirer_data": {"arn": "10000000000000"},
    "created_at": 1_767_225_600,
    "status": "processed",
}
DISPUTE = {
    "id": "disp_Esz7KAitoYM7PJ",
    "entity": "dispute",
    "payment_id": "pay_DESlfW9H8K9uqM",
    "amount": 17_000,
    "currency": "INR",
    "amount_deducted": 0,
    "reason_code": "goods_or_services_not_received",
    "respond_by": 1_767_825_600,
    "status": "open",
    "phase": "chargeback",
    "created_at": 1_767_225_600,
}
SETTLEMENT = {
    "id": "setl_DGlQ1Rj8os78Ec",
    "entity": "settlement",
    "amount": 9_973_635,
    "status": "processed",
    "fees": 0,
    "tax": 0,
    "utr": "1568176960vxp0rj",
    "created_at": 1_767_225_600,
}


def event(name: str, **entities: Any) -> bytes:
    payload = {part: {"entity": entity} for part, entity in entities.items()}
    return json.dumps({"event": name, "payload": payload, "created_at": 1_767_225_600}).encode()


def source(*secrets: str) -> WebhookSource:
    return WebhookSource(GatewayAccount(id="gwa_1", gateway="razorpay", webhook_secrets=secrets), adapter("razorpay"))


@pytest.mark.parametrize(("body", "signature"), VECTORS.values(), ids=VECTORS)
def test_the_published_vectors_verify(body: bytes, signature: str) -> None:
    signed = source("whsec_sim_0001").verify({"x-razorpay-signature": signature}, body, NOW, DAY)
    assert (signed.signature, signed.signed_at, signed.attempt) == (signature, None, 1)
    forged = (signature.upper(), signature[:-1], "", "é" * 64, signature + "0")
    for each in forged:
        with pytest.raises(WebhookSignatureInvalid):
            source("whsec_sim_0001").verify({"x-razorpay-signature": each}, body, NOW, DAY)
    for changed in (body + b"\n", body[:-1], body.replace(b":", b": ")):
        with pytest.raises(WebhookSignatureInvalid):
            source("whsec_sim_0001").verify({"x-razorpay-signature": signature}, changed, NOW, DAY)


def test_both_secrets_verify_during_a_rotation() -> None:
    body = payment_body()
    for secret in (SECRET, "the-old-secret"):
        source(SECRET, "the-old-secret").verify(signed_headers(body, secret), body, NOW, DAY)
    for secrets in (("another",), ()):
        with pytest.raises(WebhookSignatureInvalid):
            source(*secrets).verify(signed_headers(body), body, NOW, DAY)


def test_the_event_id_in_the_header_decides_nothing() -> None:
    """It is not signed: whoever replays a body may write another one."""
    body = payment_body()
    for event_id in ("evt_1", "evt_2"):
        source(SECRET).verify(signed_headers(body, event_id=event_id), body, NOW, DAY)


@pytest.mark.parametrize(
    ("name", "fields", "status", "reason"),
    [
        ("payment.captured", {}, AttemptStatus.SUCCESS, ""),
        ("payment.authorized", {"status": "authorized", "captured": False}, AttemptStatus.PENDING, ""),
        (
            "payment.failed",
            {"status": "failed", "captured": False, "error_reason": "insufficient_funds"},
            AttemptStatus.FAILED,
            "insufficient_funds",
        ),
    ],
)
def test_a_payment_names_the_gateways_order(
    name: str, fields: dict[str, Any], status: AttemptStatus, reason: str
) -> None:
    content = parse_webhook(payment_body(name, **fields))
    assert isinstance(content, PaymentWebhook)
    assert (content.order_id, content.gateway_order_id) == ("", "order_DESlLckIVRkHWj")
    attempt = content.attempt
    assert (attempt.gateway_payment_id, attempt.status, attempt.reason) == ("pay_DESlfW9H8K9uqM", status, reason)
    assert attempt.amount == Money(17_000)


def test_a_paid_order_names_ours() -> None:
    order = {"id": "order_DESlLckIVRkHWj", "receipt": "ord_1", "amount": 17_000, "status": "paid"}
    content = parse_webhook(event("order.paid", payment=payment_entity(), order=order))
    assert isinstance(content, PaymentWebhook)
    assert (content.order_id, content.attempt.order_id, content.gateway_order_id) == ("ord_1", "ord_1", order["id"])


@pytest.mark.parametrize("name", ["refund.created", "refund.processed", "refund.failed", "refund.speed_changed"])
@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("processed", RefundStatus.SUCCESS),
        ("failed", RefundStatus.FAILED),
        ("pending", RefundStatus.PENDING),
        ("something_new", RefundStatus.PENDING),
    ],
)
def test_a_refund_is_what_its_entity_says_and_not_its_event(name: str, word: str, status: RefundStatus) -> None:
    content = parse_webhook(event(name, refund={**REFUND, "status": word}, payment=payment_entity()))
    assert isinstance(content, RefundWebhook)
    assert content.gateway_order_id == "order_DESlLckIVRkHWj"
    refund = content.refund
    assert (refund.refund_id, refund.gateway_refund_id, refund.status) == ("rfd_1", REFUND["id"], status)
    assert (refund.amount, refund.bank_reference, refund.order_id) == (Money(5_000), "10000000000000", "")


def test_what_is_given_back_without_a_capture_was_never_ours() -> None:
    body = event("refund.processed", refund=REFUND, payment=payment_entity(status="refunded", captured=False))
    assert parse_webhook(body) == IgnoredWebhook("refund_of_uncaptured")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "open"}, DisputeStatus.OPEN),
        ({"status": "under_review"}, DisputeStatus.UNDER_REVIEW),
        ({"status": "won"}, DisputeStatus.WON),
        ({"status": "lost", "amount_deducted": 17_000}, DisputeStatus.LOST),
        ({"status": "closed"}, DisputeStatus.WON),
        ({"status": "closed", "amount_deducted": 17_000}, DisputeStatus.LOST),
        ({"status": "something_new"}, DisputeStatus.OPEN),
    ],
)
def test_a_dispute(fields: dict[str, Any], status: DisputeStatus) -> None:
    body = event("payment.dispute.created", dispute={**DISPUTE, **fields}, payment=payment_entity())
    content = parse_webhook(body)
    assert isinstance(content, DisputeWebhook)
    assert content.gateway_order_id == "order_DESlLckIVRkHWj"
    assert (content.dispute.gateway_dispute_id, content.dispute.status) == (DISPUTE["id"], status)
    assert content.dispute.respond_by == datetime.fromtimestamp(1_767_825_600, UTC)


def test_a_settlement() -> None:
    content = parse_webhook(event("settlement.processed", settlement=SETTLEMENT))
    assert content == SettlementWebhook("setl_DGlQ1Rj8os78Ec", SettlementStatus.SETTLED, "1568176960vxp0rj")


@pytest.mark.parametrize(
    "body",
    [
        event("payment.captured"),
        event("payment.captured", payment=payment_entity(id=None)),
        event("payment.captured", payment=payment_entity(amount=None)),
        event("payment.captured", payment=payment_entity(currency="XXX")),
        event("refund.processed", refund=REFUND),
        event("refund.processed", refund={**REFUND, "payment_id": "pay_2"}, payment=payment_entity()),
        event("refund.processed", payment=payment_entity()),
        event("payment.dispute.won", dispute=DISPUTE),
        event("payment.dispute.won", dispute={**DISPUTE, "payment_id": "pay_2"}, payment=payment_entity()),
        event("settlement.processed", settlement={"id": 7}),
        b'{"event":"payment.captured","payload":7}',
        b'{"event":"payment.captured"}',
        b"[]",
    ],
    ids=lambda body: str(body[:60]),
)
def test_what_says_too_little_is_malformed_and_identifies_nothing(body: bytes) -> None:
    assert isinstance(parse_webhook(body), MalformedWebhook)
    assert summarise_webhook(body).identity == ""


@pytest.mark.parametrize(
    "body",
    [
        event("payment.downtime.started"),
        event("invoice.paid", payment=payment_entity()),
        event("subscription.charged", payment=payment_entity()),
        event("payment.captured", payment=payment_entity(order_id=None)),
    ],
    ids=lambda body: str(body[:60]),
)
def test_other_events_are_ignored(body: bytes) -> None:
    assert isinstance(parse_webhook(body), IgnoredWebhook)
    summary = summarise_webhook(body)
    assert summary.type
    assert summary.identity == ""


def test_a_summary_finds_it_again() -> None:
    summary = summarise_webhook(payment_body())
    assert summary == WebhookSummary(
        type="payment.captured",
        event_time=datetime.fromtimestamp(1_767_225_600, UTC),
        order_id=None,
        gateway_payment_id="pay_DESlfW9H8K9uqM",
        gateway_status="captured",
        identity=summary.identity,
    )
    refund = summarise_webhook(event("refund.processed", refund=REFUND, payment=payment_entity()))
    assert (refund.gateway_refund_id, refund.gateway_status) == (REFUND["id"], "processed")
    nested = b'{"event":"refund.speed_changed","payload":{"created_at":1767225600}}'
    assert summarise_webhook(nested).event_time == datetime.fromtimestamp(1_767_225_600, UTC)


def test_each_claim_is_an_event_of_its_own_and_each_rendering_the_same() -> None:
    bodies = [
        payment_body(),
        payment_body("payment.authorized", status="authorized", captured=False),
        payment_body("payment.failed", status="failed", captured=False),
        payment_body(amount=1),
        payment_body(id="pay_2"),
        payment_body(order_id="order_2"),
        event("refund.created", refund={**REFUND, "status": "pending"}, payment=payment_entity()),
        event("refund.created", refund=REFUND, payment=payment_entity()),
        event("refund.processed", refund=REFUND, payment=payment_entity()),
        event("refund.processed", refund={**REFUND, "acquirer_data": {"arn": None}}, payment=payment_entity()),
        event("payment.dispute.created", dispute=DISPUTE, payment=payment_entity()),
        event("payment.dispute.won", dispute={**DISPUTE, "status": "won"}, payment=payment_entity()),
        event("settlement.processed", settlement=SETTLEMENT),
        event("settlement.processed", settlement={**SETTLEMENT, "utr": "2"}),
    ]
    identities = [summarise_webhook(body).identity for body in bodies]
    assert all(identities)
    assert len(set(identities)) == len(bodies)
    for body, identity in zip(bodies, identities, strict=True):
        assert summarise_webhook(json.dumps(json.loads(body), indent=2).encode()).identity == identity
