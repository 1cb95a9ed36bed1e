"""Cashfree's webhooks: signatures against its published vectors, and everything that must not pass."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import FakeClock
from common.keys import digest
from gateways import GatewayAccount, WebhookSignature, WebhookSummary
from gateways.cashfree.webhooks import summarise_webhook
from gateways.registry import adapter
from gateways.verification import WebhookSignatureInvalid, WebhookSource, WebhookTimestampInvalid, WebhookTooOld

DAY = timedelta(days=1)
V1 = (
    b'{"data":{"order":{"order_id":"order_OFR_2","order_amount":170.00,"order_currency":"INR","order_tags":null},'
    b'"payment":{"cf_payment_id":"1453002795","payment_status":"SUCCESS","payment_amount":170.00,'
    b'"payment_currency":"INR","payment_message":"00::Transaction success","payment_time":"2025-01-15T12:20:29+05:30",'
    b'"bank_reference":"234928698581","auth_id":null,"payment_method":{"upi":{"channel":"collect",'
    b'"upi_id":"rishab@ybl"}},"payment_group":"upi"},"customer_details":{"customer_name":null,'
    b'"customer_id":"7112AAA812234","customer_email":"test@gmail.com","customer_phone":"9908734801"}},'
    b'"event_time":"2025-01-15T12:20:31+05:30","type":"PAYMENT_SUCCESS_WEBHOOK"}'
)
V2 = (
    b'{"data":{"refund":{"cf_refund_id":11325632,"cf_payment_id":789727431,"refund_id":"refund_sampleorder0413",'
    b'"order_id":"sampleorder0413","refund_amount":2.00,"refund_currency":"INR","entity":"Refund",'
    b'"refund_type":"MERCHANT_INITIATED","refund_arn":"205907014017","refund_status":"SUCCESS"}},'
    b'"event_time":"2022-02-28T13:04:28+05:30","type":"REFUND_STATUS_WEBHOOK"}'
)
V3 = (
    '{"data":{"order":{"order_id":"order_हि","order_amount":1.00,"order_currency":"INR"},"customer_details":'
    '{"customer_name":"राहुल ₹"}},"event_time":"2025-05-05T12:19:19+05:30","type":"PAYMENT_SUCCESS_WEBHOOK"}'
).encode()
V4 = b'{"data":{"test_object":{"test_key":"test_value"}},"type":"WEBHOOK","event_time":"2025-05-05T12:19:19+05:30"}'
V5 = b'{"data":{},"event_time":"2025-05-05T12:19:19+05:30","type":"PAYMENT_FAILED_WEBHOOK"}\n'
VECTORS = {
    "V1": (V1, "1746427759733", "Y3ltpdHR4g3SuCzKsvMwf+huIgtD74Pxru3PspRqIz4=", "65eda174211331cc6d17f44c1dcc9182"),
    "V2": (V2, "1646033668000", "ku/ho+JJE60vgaGRfub7MntS6j4e7He8VXB9Ek+uI+0=", "d78b9cdd7ea9ecf84a402f2f89c779a2"),
    "V3": (V3, "1746427759733", "LInMcNnhKPxsG2sAFjbIR0KYlQ9lR7CKjfmAs/rFMzE=", "a29b5db62d1680a2a39612143aa87e2e"),
    "V4": (V4, "1746427759733", "s19/a+zCqZ7gpedkEvaVhou/nHxXjAeWPUWL0ZqbNvc=", "639fac28d495ef8f63ed1e3d51b5871a"),
    "V5": (V5, "1746427759733", "J52cvrSjtcG5io984dIAkGTpy4jZaEvEF0e+bFoHToY=", "c5f4098a29da452216ad5aedf66a5fc8"),
}


def account_with(*secrets: str) -> GatewayAccount:
    return GatewayAccount(id="gwa_1", gateway="cashfree", webhook_secrets=secrets)


def verify(
    account: GatewayAccount, headers: dict[str, str], body: bytes, now: datetime, window: timedelta
) -> WebhookSignature:
    return WebhookSource(account, adapter("cashfree")).verify(headers, body, now, window)


def _at(timestamp: str) -> datetime:
    return datetime.fromtimestamp(int(timestamp) / 1000, UTC)


def _given(timestamp: str, signature: str) -> dict[str, str]:
    return {"x-webhook-timestamp": timestamp, "x-webhook-signature": signature}


@pytest.mark.parametrize(("body", "timestamp", "signature", "digest"), VECTORS.values(), ids=VECTORS)
def test_the_published_vectors_verify(
    account: GatewayAccount, body: bytes, timestamp: str, signature: str, digest: str
) -> None:
    assert hashlib.sha256(body).hexdigest().startswith(digest)
    signed = verify(account, _given(timestamp, signature), body, _at(timestamp), DAY)
    assert signed.signature == signature
    assert signed.attempt == 1


def _mac(secret: str, message: bytes) -> bytes:
    return hmac.digest(secret.encode(), message, "sha256")


FORGERIES = {
    "re-serialised body": lambda secret, t: (V1.replace(b"170.00", b"170.0"), VECTORS["V1"][2]),
    "dot between": lambda secret, t: (V1, base64.b64encode(_mac(secret, t.encode() + b"." + V1)).decode()),
    "hexadecimal": lambda secret, t: (V1, _mac(secret, t.encode() + V1).hex()),
    "body first": lambda secret, t: (V1, base64.b64encode(_mac(secret, V1 + t.encode())).decode()),
    "signed in seconds": lambda secret, t: (V1, base64.b64encode(_mac(secret, t[:10].encode() + V1)).decode()),
    "trailing newline": lambda secret, t: (V1 + b"\n", VECTORS["V1"][2]),
    "lower case": lambda secret, t: (V1, VECTORS["V1"][2].lower()),
    "other secret": lambda secret, t: (V1, base64.b64encode(_mac(secret + "x", t.encode() + V1)).decode()),
    "empty": lambda secret, t: (V1, ""),
    "not ASCII": lambda secret, t: (V1, "é" * 44),
    "padded": lambda secret, t: (V1, VECTORS["V1"][2] + "="),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_forgeries_are_refused(account: GatewayAccount, secret: str, forge: Callable[..., tuple[bytes, str]]) -> None:
    timestamp = VECTORS["V1"][1]
    body, signature = forge(secret, timestamp)
    with pytest.raises(WebhookSignatureInvalid):
        verify(account, _given(timestamp, signature), body, _at(timestamp), DAY)


def test_both_secrets_verify_during_a_rotation(signed: Callable[..., dict[str, str]], clock: FakeClock) -> None:
    rotating = account_with("the-new-secret", "the-old-secret")
    for current in ("the-new-secret", "the-old-secret"):
        verify(rotating, signed(V1, secret=current), V1, clock.now(), DAY)
    with pytest.raises(WebhookSignatureInvalid):
        verify(rotating, signed(V1, secret="the-older-one"), V1, clock.now(), DAY)


def test_an_account_without_secrets_verifies_nothing(signed: Callable[..., dict[str, str]], clock: FakeClock) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        verify(account_with(), signed(V1, secret="x"), V1, clock.now(), DAY)


def test_an_empty_secret_is_no_secret() -> None:
    for secrets in ([""], ["good", ""]):
        with pytest.raises(ValueError, match="secret"):
            account_with(*secrets)


@pytest.mark.parametrize(
    ("age", "refusal"),
    [
        (timedelta(0), None),
        (DAY, None),
        (DAY + timedelta(milliseconds=1), WebhookTooOld),
        (-timedelta(minutes=5), None),
        (-timedelta(minutes=5, milliseconds=1), WebhookTimestampInvalid),
    ],
)
def test_the_window_has_edges(
    account: GatewayAccount,
    signed: Callable[..., dict[str, str]],
    clock: FakeClock,
    age: timedelta,
    refusal: type[Exception] | None,
) -> None:
    headers = signed(V1, at=clock.now() - age)
    if refusal is None:
        verify(account, headers, V1, clock.now(), DAY)
    else:
        with pytest.raises(refusal):
            verify(account, headers, V1, clock.now(), DAY)


@pytest.mark.parametrize(
    "timestamp", ["", "now", "-1746427759733", "1746427759733.0", "١٧٤٦٤٢٧٧٥٩٧٣٣", " 1746427759733", "17464277597330"]
)
def test_a_timestamp_is_epoch_milliseconds(account: GatewayAccount, clock: FakeClock, timestamp: str) -> None:
    with pytest.raises(WebhookTimestampInvalid):
        verify(account, _given(timestamp, "x"), V1, clock.now(), DAY)


def test_a_timestamp_in_seconds_is_too_old(account: GatewayAccount, clock: FakeClock) -> None:
    with pytest.raises(WebhookTooOld):
        verify(account, _given("1746427759", "x"), V1, clock.now(), DAY)


def test_a_summary_holds_what_finds_and_identifies_the_event() -> None:
    assert summarise_webhook(V1) == WebhookSummary(
        type="PAYMENT_SUCCESS_WEBHOOK",
        event_time=datetime.fromisoformat("2025-01-15T12:20:31+05:30"),
        order_id="order_OFR_2",
        gateway_payment_id="1453002795",
        gateway_status="SUCCESS",
        identity=digest(
            "PAYMENT_SUCCESS_WEBHOOK",
            *("payment", "order_OFR_2", "1453002795", "SUCCESS", "17000", "INR", "17000", "INR", "SUCCESS"),
        ).hex(),
    )
    refund = summarise_webhook(V2)
    assert (refund.order_id, refund.gateway_payment_id, refund.gateway_refund_id) == (
        "sampleorder0413",
        "789727431",
        "11325632",
    )
    own = ("refund_sampleorder0413", "11325632", "sampleorder0413", "789727431")
    claim = ("refund", *own, "200", "INR", "205907014017", "SUCCESS")
    assert refund.identity == digest("REFUND_STATUS_WEBHOOK", *claim).hex()
    assert summarise_webhook(V4).is_test
    assert summarise_webhook(V5).identity == ""


def test_one_event_has_one_identity_however_it_is_rendered(
    payment_body: Callable[..., bytes],
) -> None:
    plain = summarise_webhook(payment_body("5114917039291"))
    older_version = summarise_webhook(payment_body(5114917039291))
    spaced = summarise_webhook(json.dumps(json.loads(payment_body("5114917039291")), indent=2).encode())
    later = summarise_webhook(payment_body("5114917039291", event_time="2025-01-15T13:00:00+05:30"))
    assert {summary.identity for summary in (older_version, spaced, later)} == {plain.identity} != {""}


def test_what_is_really_new_has_an_identity_of_its_own(payment_body: Callable[..., bytes]) -> None:
    bodies = [
        payment_body("1", "PAYMENT_FAILED_WEBHOOK", "FAILED"),
        payment_body("2", "PAYMENT_FAILED_WEBHOOK", "FAILED"),
        payment_body("2", "PAYMENT_SUCCESS_WEBHOOK", "PENDING"),
        payment_body("2", "PAYMENT_SUCCESS_WEBHOOK", "SUCCESS"),
        payment_body("2", "PAYMENT_CHARGES_WEBHOOK", "SUCCESS"),
    ]
    assert len({summarise_webhook(body).identity for body in bodies}) == len(bodies)


def test_no_two_events_share_an_identity_by_where_their_parts_are_split() -> None:
    def payment(type_: str, payment_id: str, status: str) -> str:
        data = {"payment": {"cf_payment_id": payment_id, "payment_status": status}}
        return summarise_webhook(json.dumps({"data": data, "type": type_}).encode()).identity

    parts = [("A|payment:1", "2", "S"), ("A", "1|payment:2", "S"), ("A", "1", "2|S"), ("A", "1|2", "S")]
    assert len({payment(*each) for each in parts} - {""}) == len({each for each in parts if payment(*each)})


def test_disputes_repeat_a_status_and_subscriptions_come_back_to_one() -> None:
    def dispute(updated_at: str) -> bytes:
        what = {
            "dispute_id": "d1",
            "dispute_status": "DISPUTE_CREATED",
            "dispute_amount": 3,
            "updated_at": updated_at,
            "dispute_update": "COMMENT_UPDATE",
        }
        data = {"dispute": what, "order_details": {"order_id": "ord_1"}}
        return json.dumps({"data": data, "type": "DISPUTE_UPDATED"}).encode()

    first, second = (summarise_webhook(dispute(f"2025-01-0{day}T10:00:00+05:30")).identity for day in (1, 2))
    assert first != second
    # Without its time a comment could not be told from another.
    assert summarise_webhook(dispute("yesterday")).identity == ""
    body = b'{"data":{"subscription_id":"s1","subscription_status":"ACTIVE"},"type":"SUBSCRIPTION_STATUS_CHANGED"}'
    assert summarise_webhook(body).identity == ""


def test_a_refund_that_got_its_bank_reference_is_a_new_event() -> None:
    without = V2.replace(b'"205907014017"', b"null")
    assert summarise_webhook(without).identity not in ("", summarise_webhook(V2).identity)
    assert summarise_webhook(V2.replace(b"2.00", b"3.00")).identity != summarise_webhook(V2).identity


@pytest.mark.parametrize(
    "body",
    [b"", b"garbage", b"[]", b"null", b'"x"', b"{}", b'{"type":7}', b'{"type":""}', b'{"type":"a\\u0000b"}',
     b"\xff\xfe",
     b'{"type":"' + b"x" * 200 + b'"}', b"[" * 200_000, b'{"a":' * 100_000, b'{"type":"A","data":' + b"[" * 100_000],
    ids=lambda body: str(body[:12]),
)  # fmt: skip
def test_what_cannot_be_read_is_an_empty_summary(body: bytes) -> None:
    assert summarise_webhook(body) == WebhookSummary()


@pytest.mark.parametrize("data", ["null", "[]", "7", '{"payment":7}', '{"payment":{"cf_payment_id":1.5}}', "{}"])
def test_a_known_type_with_an_unknown_shape_keeps_its_type(data: str) -> None:
    summary = summarise_webhook(f'{{"type":"PAYMENT_SUCCESS_WEBHOOK","data":{data}}}'.encode())
    assert summary == WebhookSummary(type="PAYMENT_SUCCESS_WEBHOOK")


def test_ids_that_no_column_can_hold_are_left_out(payment_body: Callable[..., bytes]) -> None:
    for strange in ("a\0b", "x" * 129, "", "a\nb"):
        summary = summarise_webhook(payment_body(strange, order_id=strange))
        assert (summary.order_id, summary.gateway_payment_id, summary.identity) == (None, None, "")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_a_summary_never_raises(body: bytes) -> None:
    summarise_webhook(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    st.dictionaries(st.sampled_from(["order", "payment", "refund", "settlement", "dispute"]), json_values),
    json_values,
)
def test_a_summary_never_raises_on_odd_shapes(data: dict[str, object], event_time: object) -> None:
    body = json.dumps({"type": "X", "data": data, "event_time": event_time}).encode()
    summary = summarise_webhook(body)
    assert summary.type in ("X", "")
