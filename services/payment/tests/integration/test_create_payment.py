"""Creating payments: the happy path, keys, lost answers, and what is refused."""

import asyncio
from collections import Counter
from itertools import chain, repeat
from typing import Any

import pytest

from commdesk.fraud.v1 import fraud_pb2
from common import ids
from common.intents import Intent, Intents

from .world import World


async def test_a_pack_is_ordered_at_the_gateway(world: World) -> None:
    response = await world.create(deviceId="device-1", metadata={"campaign": "diwali", "first": True})
    assert response.status_code == 201
    data = response.json()["data"]
    assert data | {"paymentId": "", "orderId": "", "referenceId": "", "createdAt": "", "expiresAt": ""} == {
        "paymentId": "",
        "orderId": "",
        "referenceId": "",
        "paymentSessionId": data["paymentSessionId"],
        "gateway": "cashfree",
        "amount": 50_000,
        "currency": "INR",
        "status": "PENDING",
        "simpleStatus": "pending",
        "credits": {"paid": 5_000, "bonus": 500},
        "checkoutUrl": f"http://127.0.0.1:18000/checkout/{data['paymentId']}",
        "createdAt": "",
        "expiresAt": "",
    }
    assert data["paymentSessionId"].startswith("session_")
    there = (await world.sandbox.get(f"/control/orders/{data['orderId']}")).json()
    assert there["amount_paise"] == 50_000
    [row] = await world.rows("select * from payments")
    assert (row.status, row.seq, row.net_minor, row.cgst_minor, row.sgst_minor, row.platform_fee_minor) == (
        "PENDING",
        2,
        42_374,
        3_813,
        3_813,
        2_500,
    )
    sealer = world.db.sealer
    assert (sealer.open("email", row.customer_email), sealer.open("device", row.device_id), row.fraud_score) == (
        "usr_asha@example.in", "device-1", 420,
    )  # fmt: skip
    assert all(value.startswith("s1.t1.") for value in (row.customer_email, row.customer_name, row.customer_phone))
    moves = await world.rows("select from_status, to_status, actor from payment_history order by seq")
    assert [tuple(move) for move in moves] == [
        (None, "CREATED", "usr_asha"),
        ("CREATED", "PENDING", "service:payment"),
    ]
    [created] = await world.announced("payment.created")
    assert (created.payment.payment_id, created.device_id) == (data["paymentId"], row.device_id)
    assert len(await world.announced("analytics.payment.created")) == 1
    [audit] = await world.announced("audit.recorded")
    assert (audit.action, audit.actor_id, audit.resource_id) == ("payment.create", "usr_asha", data["paymentId"])
    assert "example.in" not in str(audit) + str(created)
    assert await world.rows("select 1 from intents where done_at is null") == []


async def test_a_free_amount_buys_ten_credits_for_a_rupee(world: World) -> None:
    data = await world.created(amount=12_340, orderId="shop-42", serviceType="CONSULTATION", providerId="doc_1")
    assert (data["orderId"], data["credits"]) == ("shop-42", {"paid": 1_234, "bonus": 0})
    seen = (await world.get("/status/shop-42")).json()["data"]
    assert (seen["serviceType"], seen["providerId"], seen["simpleStatus"]) == ("CONSULTATION", "doc_1", "pending")


async def test_both_paths_create(world: World) -> None:
    response = await world.http.post("/api/v1/payments", json={"amount": 1000}, headers=world.auth())
    assert response.status_code == 201


async def test_an_order_id_is_used_once(world: World) -> None:
    await world.created(amount=1_000, orderId="shop-1")
    again = await world.create(amount=1_000, orderId="shop-1", user="usr_ravi", key="k")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "order_id_taken")
    replay = await world.create(amount=1_000, orderId="shop-1", user="usr_ravi", key="k")
    assert (replay.status_code, replay.content) == (409, again.content)


async def test_an_order_id_is_used_once_in_a_gateway_account(world: World) -> None:
    """Merchants that share the account do not get each other's orders."""
    data = await world.created(amount=1_000, orderId="shop-1")
    response = await world.create(merchant="mer_other", amount=1_000, orderId="shop-1")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "order_id_taken")
    assert data["paymentSessionId"] not in response.text
    assert len(await world.rows("select 1 from payments")) == 1
    assert await world.status(data) == "PENDING"


@pytest.mark.parametrize("tag", ["pay_somebody_elses", None])
async def test_an_order_that_somebody_else_made_under_our_id_is_refused(world: World, tag: str | None) -> None:
    await world.foreign_order("shop-1", 10.00, tag)
    response = await world.create(amount=1_000, orderId="shop-1")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "gateway_refused")
    [row] = await world.rows("select status, payment_session_id from payments")
    assert tuple(row) == ("FAILED", "")


async def test_an_address_of_the_profile_that_is_of_no_use_is_left_out(world: World) -> None:
    headers = world.auth("usr_x", email="not an address")
    response = await world.http.post("/api/v1/payments", json={"amount": 1000}, headers=headers)
    assert response.status_code == 201
    [row] = await world.rows("select customer_email, customer_phone from payments")
    assert (row.customer_email, world.db.sealer.open("phone", row.customer_phone)) == ("", "+919876543210")


async def test_a_gateway_that_needs_a_phone_number_gets_one_or_the_payment_is_not_made(world: World) -> None:
    headers = world.auth("usr_x", phone="call me")
    response = await world.http.post("/api/v1/payments", json={"amount": 1000}, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "request_invalid")
    assert response.json()["error"]["fields"] == {
        "customerPhone": "is required: the number of your account cannot be read"
    }
    body = {"amount": 1000, "customerPhone": "098765 43210"}
    assert (await world.http.post("/api/v1/payments", json=body, headers=headers)).status_code == 201


# ── Idempotency, four ways ───────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_request_gets_the_same_bytes(world: World) -> None:
    first = await world.create(key="key-1")
    for forget in (False, True):
        if forget:
            await world.forget_responses()
        again = await world.create(key="key-1")
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(await world.rows("select 1 from payments")) == 1
    # A key in the body is the same key.
    in_body = await world.create(idempotencyKey="key-1")
    assert in_body.content == first.content


async def test_the_same_key_with_another_request_is_refused(world: World) -> None:
    await world.create(key="key-1")
    for forget in (False, True):
        if forget:
            await world.forget_responses()
        again = await world.create(key="key-1", amount=1_000)
        assert (again.status_code, again.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_another_user_has_keys_of_their_own(world: World) -> None:
    first, second = await world.create(key="key-1"), await world.create(key="key-1", user="usr_ravi")
    assert second.status_code == 201
    assert first.json()["data"]["paymentId"] != second.json()["data"]["paymentId"]


async def test_twenty_at_once_make_one_payment(world: World) -> None:
    await world.fault(action="delay", operation="create_order", delay_ms=200, count=1)
    responses = await asyncio.gather(*(world.create(key="key-1") for _ in range(20)))
    statuses = Counter(response.status_code for response in responses)
    assert statuses == {201: 1, 409: 19}
    waiting = next(response for response in responses if response.status_code == 409)
    assert (waiting.json()["error"]["code"], waiting.headers["retry-after"]) == ("idempotency_key_in_flight", "1")
    assert len(await world.rows("select 1 from payments")) == 1
    assert (await world.create(key="key-1")).status_code == 201


async def test_without_keys_everybody_gets_a_payment(world: World) -> None:
    made = await asyncio.gather(*(world.created() for _ in range(30)))
    assert len({each["paymentId"] for each in made}) == 30
    assert world.wallet.calls == 1
    # They travelled together.
    assert len(world.fraud.request_keys) == 30
    assert world.fraud.calls < 30


# ── Lost answers ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "apply_then_timeout", "delay_ms": 4_000},
        {"action": "apply_then_error", "status": 500},
        {"action": "error", "status": 500},
        {"action": "error", "status": 502},
        {"action": "timeout", "delay_ms": 4_000},
        {"action": "error", "status": 429},
    ],
    ids=lambda fault: f"{fault['action']}-{fault.get('status', '')}",
)
async def test_a_lost_answer_is_found_by_our_own_order_id(world: World, fault: dict[str, Any]) -> None:
    await world.fault(operation="create_order", count=1, **fault)
    response = await world.create(key="key-1")
    assert (response.status_code, response.json()["error"]["code"]) == (202, "payment_unresolved")
    fields = response.json()["error"]["fields"]
    status = (await world.get(f"/{fields['paymentId']}")).json()["data"]
    assert (status["status"], status["orderId"]) == ("CREATED", fields["orderId"])
    # The same request again gets the same answer, not that it is in flight.
    again = await world.create(key="key-1")
    assert (again.status_code, again.json()["error"]["fields"]) == (202, fields)
    if fault.get("status") == 429:
        await asyncio.sleep(2)  # no call is made before the quota is back
    await world.run_intents()
    assert (await world.get(f"/{fields['paymentId']}")).json()["data"]["status"] == "PENDING"
    # The key has its final answer now, and there is one order.
    answer = await world.create(key="key-1")
    assert (answer.status_code, answer.json()["data"]["orderId"]) == (201, fields["orderId"])
    assert len(await world.rows("select 1 from payments")) == 1
    assert len(await world.announced("payment.created")) == 1
    stored = await world.sandbox.get(f"/control/orders/{fields['orderId']}")
    assert stored.json()["payment_session_id"] == answer.json()["data"]["paymentSessionId"]


async def test_wrong_answers_about_the_amount_are_never_taken_for_a_success(world: World) -> None:
    data = await world.created()
    await world.fault(action="wrong_amount", operation="get_order", order_id=data["orderId"], amount_paise=100)
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    assert await world.status(data) == "PENDING"


async def test_the_webhook_may_come_before_the_create_response(world: World) -> None:
    await world.fault(action="pay_on_create", operation="create_order", count=1)
    # The worker of the webhook is as fast as can be: it runs while create still waits for its answer.
    creating = asyncio.create_task(world.create(key="key-1"))
    await world.hooks_arrive(1)
    await world.deliver(*world.hooks)
    response = await creating
    data = response.json()["data"]
    assert (response.status_code, data["paymentSessionId"][:8]) == (201, "session_")
    assert await world.status(data) == "SUCCESS"
    moves = [row.to_status for row in await world.rows("select to_status from payment_history order by seq")]
    assert moves in (["CREATED", "SUCCESS"], ["CREATED", "PENDING", "SUCCESS"])
    assert len(await world.announced("payment.created")) == len(await world.announced("payment.success")) == 1
    assert (await world.create(key="key-1")).content == response.content


async def test_a_refused_order_fails_the_payment_and_the_key_remembers(world: World) -> None:
    await world.fault(action="error", operation="create_order", status=400, count=1)
    first = await world.create(key="key-1")
    assert (first.status_code, first.json()["error"]["code"]) == (409, "gateway_refused")
    again = await world.create(key="key-1")
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    [row] = await world.rows("select status, failure_reason, next_check_at from payments")
    assert tuple(row) == ("FAILED", "gateway_refused", None)
    assert len(await world.announced("payment.failed")) == 1
    [mail] = await world.announced("email.payment.failed")
    assert world.recipient(mail) == ("usr_asha@example.in", "Asha")


# ── Fraud ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_blocked_payment_is_not_made_and_leaves_an_audit_line(world: World) -> None:
    world.fraud.decision = fraud_pb2.DECISION_BLOCK
    response = await world.create(key="key-1")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "payment_blocked")
    assert await world.rows("select 1 from payments") == []
    [audit] = await world.announced("audit.recorded")
    assert audit.action == "payment.block"


async def test_a_suspicious_payment_is_flagged(world: World) -> None:
    world.fraud.decision = fraud_pb2.DECISION_REVIEW
    await world.created()
    [row] = await world.rows("select review, review_reason from payments")
    assert tuple(row) == ("FLAGGED", "velocity")


async def test_fraud_learns_which_tries_are_one_request(world: World) -> None:
    world.fraud.decision = fraud_pb2.DECISION_BLOCK
    for key in ("key-1", "key-1", ""):
        assert (await world.create(key=key)).status_code == 403
    assert list(world.fraud.request_keys.values()) == ["key-1", "key-1", ""]


async def test_fraud_that_does_not_answer_holds_nobody_up(world: World) -> None:
    world.fraud.delays_seconds = repeat(1)
    await world.created()
    [row] = await world.rows("select review, fraud_score from payments")
    assert tuple(row) == ("NONE", None)


async def test_fraud_that_was_silent_is_asked_once_more(world: World) -> None:
    world.fraud.delays_seconds = chain([1], repeat(0))
    await world.created()
    [row] = await world.rows("select fraud_score from payments")
    assert row.fraud_score == 420


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────

BAD_BODIES = [
    "",
    "{",
    "[]",
    "null",
    '{"amount":}',
    "{'amount':1000}",
    '{"amount":1000}{"amount":1000}',
    '{"amount":1000,"amount":1000}',
    '{"amount":1000,"status":"SUCCESS"}',
    '{"amount":1000,"credits":5}',
    '{"amount":"1000"}',
    '{"amount":1000.0}',
    '{"amount":1000.5}',
    '{"amount":1e3}',
    '{"amount":1E2}',
    '{"amount":NaN}',
    '{"amount":Infinity}',
    '{"amount":-1000}',
    '{"amount":0}',
    '{"amount":-0}',
    '{"amount":90}',
    '{"amount":1005}',
    '{"amount":50000010}',
    '{"amount":99999999999999999999999999999999}',
    '{"amount":9007199254740993}',
    '{"amount":true}',
    '{"amount":null}',
    '{"amount":[1000]}',
    '{"amount":{"minor":1000}}',
    "{}",
    '{"amount":1000,"packId":"pack_500"}',
    '{"packId":"pack_1"}',
    '{"amount":1000,"currency":"USD"}',
    '{"amount":1000,"currency":"inr"}',
    '{"amount":1000,"currency":"₹"}',
    '{"amount":1000,"currency":null}',
    '{"amount":1000,"orderId":"ab"}',
    '{"amount":1000,"orderId":"a b c"}',
    '{"amount":1000,"orderId":"ordér"}',
    '{"amount":1000,"orderId":"' + "a" * 46 + '"}',
    '{"amount":1000,"customerPhone":"123"}',
    '{"amount":1000,"customerEmail":"nobody"}',
    '{"amount":1000,"customerEmail":"a@b.in\\nBcc: x@y.in"}',
    '{"amount":1000,"returnUrl":"http://evil.example/"}',
    '{"amount":1000,"returnUrl":"javascript:alert(1)"}',
    '{"amount":1000,"placeOfSupply":"KA"}',
    '{"amount":1000,"paymentMethod":"gold"}',
    '{"amount":1000,"metadata":[1]}',
    '{"amount":1000,"metadata":{"a":[[[[[1]]]]]}}',
    '{"amount":1000,"metadata":{"a":' + "[" * 5_000 + "]" * 5_000 + "}}",
    '{"amount":1000,"metadata":{"a":1e300}}',
    '{"amount":1000,"metadata":{"a":{"b":"\\u0000"}}}',
    '{"amount":1000,"metadata":{"a":"' + "x" * 201 + '"}}',
    '{"amount":1000,"description":"a\\u0000b"}',
    '{"amount":1000,"description":"\\ud800"}',
    '{"amount":1000,"customerName":"\\u0000"}',
    '{"amount":1000,"deviceId":"\\u0000"}',
    '{"amount":1000,"serviceType":"\\u0000"}',
    '{"amount":1000,"metadata":{"a\\u0000":"b"}}',
    '{"amount":1000,"idempotencyKey":""}',
    '{"amount":1000,"description":"' + "x" * 201 + '"}',
]


async def test_bad_bodies_are_refused_by_name(world: World) -> None:
    headers = world.auth() | {"content-type": "application/json"}
    for body in BAD_BODIES:
        response = await world.http.post("/api/v1/payments/create", content=body.encode(), headers=headers)
        assert response.status_code == 400, (body, response.text)
        assert response.json()["success"] is False
        assert set(response.json()["error"]) >= {"code", "message", "requestId"}
    assert await world.rows("select 1 from payments") == []


async def test_keys_that_differ_are_refused(world: World) -> None:
    response = await world.create(key="a", idempotencyKey="b", amount=1_000)
    assert response.status_code == 400
    assert "idempotencyKey" in response.json()["error"]["fields"]


async def test_nobody_pays_without_a_token(world: World) -> None:
    response = await world.http.post("/api/v1/payments/create", json={"amount": 1000})
    assert response.status_code == 401


async def test_users_whose_ids_and_keys_join_to_one_text_have_payments_of_their_own(world: World) -> None:
    """An external issuer's subjects and everybody's keys hold any character."""
    askers = [("acct:R", "order-1"), ("acct", "R:order-1"), ("acct", "R"), ("acct:R", "")]
    made = [await world.create(user=user, key=key, amount=1_000) for user, key in askers]
    assert [response.status_code for response in made] == [201] * len(askers)
    assert len({response.json()["data"]["paymentSessionId"] for response in made}) == len(askers)
    # Each gets its own again, with the cache and without it.
    for _ in range(2):
        for (user, key), first in zip(askers[:3], made, strict=False):
            again = await world.create(user=user, key=key, amount=1_000)
            assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
        await world.forget_responses()


async def test_an_answer_forged_in_redis_is_ignored(world: World) -> None:
    """Nor does a genuine one count for another key, user or request."""
    first = await world.create(key="key-1", amount=1_000)
    other = await world.create(key="key-2", user="usr_ravi", amount=1_000)
    entries = await world.cached_responses()
    assert len(entries) == 2
    forged = b'{"success":true,"data":{"paymentId":"pay_x","paymentSessionId":"session_of_an_attacker"}}'
    values = list(entries.values())
    for value in (forged, (201).to_bytes(2, "big") + forged, b"s1.k1." + forged, values[0], values[1]):
        for key in entries:
            await world.redis.set(key, value)
        assert (await world.create(key="key-1", amount=1_000)).content == first.content
        assert (await world.create(key="key-2", user="usr_ravi", amount=1_000)).content == other.content
    for value in entries.values():
        assert b"session" not in value and b"usr_" not in value


async def _forget_the_key(world: World) -> None:
    """A day later."""
    await world.forget_responses()
    async with world.db.begin() as tx:
        await tx.execute("update idempotency_keys set expires_at = now() - interval '1 second'")


@pytest.mark.parametrize("body", [{"amount": 1_000}, {"packId": "pack_500"}, {"amount": 1_000, "orderId": "shop-7"}])
async def test_a_key_counts_for_ever_for_its_payment(world: World, body: dict[str, Any]) -> None:
    """The table of keys forgets after a day; the payment answers the same request, and refuses another."""
    first = await world.create(key="key-1", **body)
    for _ in range(2):
        await _forget_the_key(world)
        again = await world.create(key="key-1", **body)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        # From the table of keys, which knows it again.
        await world.forget_responses()
        assert (await world.create(key="key-1", **body)).content == first.content
    await _forget_the_key(world)
    other = await world.create(key="key-1", amount=2_000)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    await _forget_the_key(world)
    assert (await world.create(key="key-1", user="usr_ravi", amount=1_000)).status_code == 201
    assert len(await world.rows("select 1 from payments")) == 2


async def test_a_key_of_before_fingerprints_were_kept_is_refused_after_its_day(world: World) -> None:
    await world.create(key="key-1")
    await _forget_the_key(world)
    async with world.db.begin() as tx:
        await tx.execute("update payments set request_fingerprint = ''")
    again = await world.create(key="key-1")
    assert (again.status_code, again.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_after_its_day_an_order_that_is_not_known_yet_is_still_not_known(world: World) -> None:
    await world.create(key="key-1")
    await _forget_the_key(world)
    async with world.db.begin() as tx:
        await tx.execute("update payments set payment_session_id = '', status = 'CREATED', seq = 1")
    for _ in range(2):
        again = await world.create(key="key-1")
        assert again.json()["error"]["code"] == "payment_unresolved"
    [row] = await world.rows("select subject, state from idempotency_keys")
    [payment] = await world.rows("select id from payments")
    assert tuple(row) == (payment.id, "STARTED")


async def test_a_process_that_dies_after_the_commit_leaves_the_order_to_the_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(_: Intents[Any], intent: Intent) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(Intents, "execute", die)
        with pytest.raises(KeyboardInterrupt):
            await world.create()
    await world.run_intents()
    [row] = await world.rows("select id, status from payments")
    assert row.status == "PENDING"
    assert (await world.get(f"/{ids.encode('pay', row.id)}")).status_code == 200
