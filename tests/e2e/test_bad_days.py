"""Bad input and bad days at the public edge: a clear error from the catalogue, nothing half done, nothing lost."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest

from ops import journey
from ops.fleet_client import Answer, FleetClient
from ops.virtual_users import create_with_retries, fault, members, pay_order

CREATE = "/api/v1/payments/create"
NOW = b"2026-01-01T00:00:00+05:30"
MEGABYTES_10 = b'{"packId": "' + b"x" * 10_000_000 + b'"}'


def is_catalogue_error(answer: Answer) -> bool:
    error = answer.body.get("error", {}) if isinstance(answer.body, dict) else {}
    return answer.body["success"] is False and bool(error["code"]) and bool(error["requestId"])


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b'{"packId": ', 400, id="malformed"),
        pytest.param(b'{"packId": "pack_500", "surprise": 1}', 400, id="unknown field"),
        pytest.param(b'{"packId": 500}', 400, id="wrong type"),
        pytest.param(b'{"amount": 100.005}', 400, id="too many digits"),
        pytest.param(b'{"amount": -100}', 400, id="negative"),
        pytest.param(b'{"amount": 0}', 400, id="zero"),
        pytest.param(b'{"amount": 9007199254740993000}', 400, id="huge"),
        pytest.param(b'{"amount": 1e2}', 400, id="exponent"),
        pytest.param(b'{"amount": NaN}', 400, id="NaN"),
        pytest.param(b'{"amount": "50000"}', 400, id="text"),
        pytest.param(b'{"amount": 50000, "currency": "XAU"}', 400, id="currency not enabled"),
        pytest.param(b'{"packId": "pack_500", "packId": "pack_150"}', 400, id="a key twice"),
        pytest.param(b'{"metadata": ' + b"[" * 500 + b"]" * 500 + b"}", 400, id="deep"),
        pytest.param(b"\xff\xfe", 400, id="no UTF-8"),
        pytest.param(b"[]", 400, id="no object"),
        pytest.param(b"", 400, id="nothing"),
        pytest.param(MEGABYTES_10, 413, id="10 MB"),
    ],
)
async def test_a_bad_body_is_refused_with_a_code_and_a_request_id(fleet: FleetClient, raw: bytes, status: int) -> None:
    [member] = members(fleet, 1)
    answer = await fleet.edge("POST", CREATE, raw=raw, token=member.token)
    assert answer.status == status, answer.body
    assert is_catalogue_error(answer)
    history = await fleet.edge("GET", "/api/v1/payments/history", token=member.token)
    assert history.data["items"] == []


async def test_tokens_that_are_missing_expired_or_forged_are_refused(fleet: FleetClient) -> None:
    now = int(time.time())
    claims = {"iss": "commdesk-identity", "aud": "commdesk", "iat": now - 120, "exp": now + 60}
    claims |= {"sub": "usr_x", "merchant_id": "mer_commdesk", "roles": ["ADMIN"]}
    secret = fleet.description["jwt_secret"]
    expired = jwt.encode(claims | {"exp": now - 60}, secret, "HS256")
    forged = jwt.encode(claims, "another secret that is long enough for it", "HS256")
    unsigned = jwt.encode(claims, "", "none")
    for token, code in [("", "token_missing"), (expired, "token_expired"), (forged, "token_invalid")]:
        answer = await fleet.edge("POST", CREATE, {"packId": "pack_500"}, token=token)
        assert (answer.status, answer.data["code"]) == (401, code)
    assert (await fleet.edge("POST", CREATE, {"packId": "pack_500"}, token=unsigned)).status == 401


async def test_other_peoples_payments_do_not_exist(fleet: FleetClient) -> None:
    owner, stranger = members(fleet, 2)
    created = (await create_with_retries(fleet, owner, "mine")).data
    for path in (created["paymentId"], f"status/{created['orderId']}"):
        mine = await fleet.edge("GET", f"/api/v1/payments/{path}", token=owner.token)
        theirs = await fleet.edge("GET", f"/api/v1/payments/{path}", token=stranger.token)
        assert (mine.status, theirs.status) == (200, 404)
    verify = {"paymentId": created["paymentId"]}
    assert (await fleet.edge("POST", "/api/v1/payments/verify", verify, token=stranger.token)).status == 404
    cancel = await fleet.edge("POST", f"/api/v1/payments/{created['paymentId']}/cancel", {}, token=stranger.token)
    assert cancel.status == 404
    # The page that waits for a payment sees that it waits, and nothing about a person.
    public = await fleet.edge("GET", f"/api/v1/payments/{created['paymentId']}/public")
    assert public.status == 200
    assert owner.email not in json.dumps(public.body)


async def test_an_idempotency_key_gives_the_same_bytes_again_and_refuses_another_request(fleet: FleetClient) -> None:
    [member] = members(fleet, 1)
    headers = {"Idempotency-Key": "once"}
    body = {"packId": "pack_500", "customerEmail": member.email}
    first = await fleet.edge("POST", CREATE, body, token=member.token, headers=headers)
    again = await fleet.edge("POST", CREATE, body, token=member.token, headers=headers)
    assert (first.status, again.status) == (201, 201)
    assert first.raw == again.raw
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await fleet.edge("POST", CREATE, body | {"packId": "pack_150"}, token=member.token, headers=headers)
    assert (other.status, other.data["code"]) == (422, "idempotency_key_reused")

    answers = await asyncio.gather(
        *(
            fleet.edge("POST", CREATE, body, token=member.token, headers={"Idempotency-Key": "at once"})
            for _ in range(5)
        )
    )
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.raw for answer in answers if answer.status == 201}) == 1
    for answer in answers:
        assert answer.status != 409 or answer.headers["Retry-After"]


async def test_the_older_prefix_works(fleet: FleetClient) -> None:
    packs = await fleet.edge("GET", "/v1/api/packs")
    assert packs.status == 200
    assert packs.body == (await fleet.edge("GET", "/api/v1/packs")).body


async def test_what_is_internal_is_not_routed(fleet: FleetClient) -> None:
    for path in ("/metrics", "/internal", "/control/faults", "/pg/orders"):
        assert (await fleet.edge("GET", path)).status == 404


def signed(fleet: FleetClient, body: bytes, *, at_ms: int | None = None, secret: str = "") -> dict[str, str]:
    timestamp = str(at_ms or int(time.time() * 1000))
    key = (secret or fleet.description["cashfree"]["secret_key"]).encode()
    signature = base64.b64encode(hmac.new(key, timestamp.encode() + body, hashlib.sha256).digest()).decode()
    return {"x-webhook-timestamp": timestamp, "x-webhook-signature": signature, "x-webhook-version": "2025-01-01"}


async def test_forged_altered_and_old_webhooks_are_refused(fleet: FleetClient) -> None:
    path = "/api/v1/webhooks/cashfree"
    body = b'{"data":{"order":{"order_id":"nobodys"}},"event_time":"' + NOW + b'","type":"PAYMENT_SUCCESS_WEBHOOK"}'
    day_ms = 24 * 3600 * 1000
    forged = signed(fleet, body, secret="not the secret")
    altered = signed(fleet, body)
    old = signed(fleet, body, at_ms=int(time.time() * 1000) - 2 * day_ms)
    for headers, sent in [(forged, body), (altered, body + b" "), (old, body), ({}, body)]:
        answer = await fleet.edge("POST", path, raw=sent, headers=headers)
        assert answer.status == 401, answer.body
        assert is_catalogue_error(answer)
    ping = (
        b'{"data":{"test_object":{"test_key":"test_value"}},"type":"WEBHOOK","event_time":"2026-01-01T00:00:00+05:30"}'
    )
    assert (await fleet.edge("POST", path, raw=ping, headers=signed(fleet, ping))).status == 200


async def test_forged_and_altered_webhooks_of_a_gateway_that_signs_no_time_are_refused(fleet: FleetClient) -> None:
    path = "/api/v1/webhooks/razorpay"
    body = b'{"entity":"event","event":"invoice.paid","payload":{},"created_at":1767225600}'
    secrets = fleet.description["razorpay"]
    signature = hmac.new(secrets["webhook_secret"].encode(), body, hashlib.sha256).hexdigest()
    # The key's secret signs the checkout and no webhook.
    by_key = hmac.new(secrets["key_secret"].encode(), body, hashlib.sha256).hexdigest()
    for given, sent in [(signature.upper(), body), (signature, body + b" "), (by_key, body), ("", body), (None, body)]:
        headers = {} if given is None else {"x-razorpay-signature": given}
        answer = await fleet.edge("POST", path, raw=sent, headers=headers)
        assert answer.status == 401, answer.body
        assert is_catalogue_error(answer)
    for event_id in ("1", "2"):
        headers = {"x-razorpay-signature": signature, "x-razorpay-event-id": event_id}
        assert (await fleet.edge("POST", path, raw=body, headers=headers)).status == 200


async def test_a_gateway_that_times_out_on_create_is_asked_and_never_given_a_second_order(fleet: FleetClient) -> None:
    [member] = members(fleet, 1)
    orders_before = (await fleet.sandbox("GET", "/control/stats")).data["orders"]
    await fault(fleet, action="apply_then_error", operation="create_order", count=1, status=500)
    headers = {"Idempotency-Key": "unknown"}
    first = await fleet.edge("POST", CREATE, {"packId": "pack_500"}, token=member.token, headers=headers)
    assert first.status == 202, first.body
    answer = await create_with_retries(fleet, member, "unknown")
    assert answer.status == 201
    assert (await fleet.sandbox("GET", "/control/stats")).data["orders"] == orders_before + 1
    await pay_order(fleet, answer.data["orderId"])
    await journey.until_success(fleet, member, answer.data["paymentId"])


async def test_a_wrong_amount_at_the_gateway_grants_nothing(fleet: FleetClient) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "quarantine")).data
    order = created["orderId"]
    for operation in ("get_order", "get_payments", "webhook"):
        rule: dict[str, Any] = {"action": "wrong_amount", "operation": operation, "amount_paise": 100}
        assert (await fleet.sandbox("POST", f"/control/orders/{order}/faults", rule)).status == 201
    await pay_order(fleet, order)

    async def alerted() -> Any:
        return await fleet.mails(to="admin@commdesk.test", contains=created["paymentId"]) or None

    await journey.until(alerted, "the alert", 40)
    found = await journey.status(fleet, member, created["paymentId"])
    assert found["status"] != "SUCCESS"
    assert (await journey.wallet(fleet, member.user_id)).available == 0


async def test_a_failed_attempt_then_a_good_one_on_the_same_order(fleet: FleetClient) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "twice")).data
    await journey.pay(fleet, created["orderId"], outcome="failure")
    assert (await journey.status(fleet, member, created["paymentId"]))["status"] != "FAILED"
    await journey.pay(fleet, created["orderId"])
    await journey.until_success(fleet, member, created["paymentId"])


async def test_cancelling_closes_the_order_and_a_paid_one_cannot_be_cancelled(fleet: FleetClient) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "cancel")).data
    path = f"/api/v1/payments/{created['paymentId']}/cancel"
    answer = await fleet.edge("POST", path, {}, token=member.token)
    assert (answer.status, answer.data["status"]) == (200, "CANCELLED")
    again = await fleet.sandbox("POST", f"/control/orders/{created['orderId']}/pay", {"wait": True})
    if fleet.gateway == "cashfree":
        assert again.status == 400
    else:
        # The order stays open at the gateway: what is paid for it is a late success.
        assert again.status == 200, again.body
        await journey.until_success(fleet, member, created["paymentId"])
    paid = (await create_with_retries(fleet, member, "cancel-paid")).data
    await pay_order(fleet, paid["orderId"])
    await journey.until_success(fleet, member, paid["paymentId"])
    late = await fleet.edge("POST", f"/api/v1/payments/{paid['paymentId']}/cancel", {}, token=member.token)
    assert late.status == 409
    assert is_catalogue_error(late)
