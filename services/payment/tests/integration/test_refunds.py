"""Refunds through their endpoints and steps: hold, gateway, outcome; once each; what is announced and never lost."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from asyncpg import CheckViolationError, PostgresError

from commdesk.payment.v1 import refunds_pb2 as pb
from commdesk.payment.v1.refunds_pb2_grpc import RefundServiceStub
from common import ids
from common.intents import Intent, RetryLater
from payment.domain import refunds as rules
from payment.domain.refunds import RefundStatus
from payment.store import tables

from .world import APP_ID, PAYMENTS, SECRET, World

REFUNDS = "/api/v1/refunds"
LOST_DISPUTE = """
insert into disputes (id, payment_id, merchant_id, gateway_account_id, gateway_dispute_id, round, status, announced,
                      amount_minor, currency, net_minor, cgst_minor, sgst_minor, igst_minor, credits_paid,
                      credits_bonus, seq, created_at, updated_at)
select gen_random_uuid(), id, merchant_id, gateway_account_id, 'd1', 1, 'LOST', 'LOST', cast(:amount as bigint),
       currency, cast(:amount as bigint), 0, 0, 0, 0, 0, 3, now(), now() from payments where id = :id
"""


class Desk:
    """Staff who refund."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def post(
        self, path: str, *, roles: Sequence[str] = ("FINANCE",), user: str = "usr_finance", key: str = "", **body: Any
    ) -> httpx.Response:
        headers = self.world.auth(user, *roles) | ({"idempotency-key": key} if key else {})
        return await self.world.http.post(path, json=body, headers=headers)

    async def request(self, payment: dict[str, Any], amount: int | None = None, **more: Any) -> httpx.Response:
        body: dict[str, Any] = {"paymentId": payment["paymentId"], "reason": "the customer asked"}
        if amount is not None:
            body["amount"] = amount
        return await self.post(f"{REFUNDS}/initiate", **body | more)

    async def requested(self, payment: dict[str, Any], amount: int | None = None, **more: Any) -> dict[str, Any]:
        response = await self.request(payment, amount, **more)
        assert response.status_code == 201, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def get(self, path: str, *roles: str, merchant: str = "mer_commdesk") -> httpx.Response:
        headers = self.world.auth("usr_finance", *(roles or ("SUPPORT",)), merchant=merchant)
        return await self.world.http.get(f"{REFUNDS}{path}", headers=headers)

    async def read(self, refund: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = (await self.get(f"/{refund['refundId']}")).json()["data"]
        return data

    async def run(self) -> None:
        """Ask the gateway for what is due, and take in the webhooks that it sends about it."""
        before = len(self.world.hooks)
        await self.world.run_intents()
        await self.world.hooks_arrive(before + 1)
        await self.world.deliver(*self.world.hooks[before:])


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest_asyncio.fixture
async def payment(world: World) -> dict[str, Any]:
    return await world.paid()


# ── The main path ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_partial_refund_from_request_to_mail(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    refund = await desk.requested(payment, 20_000)
    assert (refund["status"], refund["simpleStatus"], refund["amount"]) == ("PROCESSING", "pending", 20_000)
    assert (refund["credits"], refund["creditsHeld"]) == ({"paid": 2_000, "bonus": 200}, {"paid": 2_000, "bonus": 200})
    [hold] = world.wallet.requests
    assert hold.operation_key == f"refund:{refund['refundId']}"
    assert (hold.payment_id, hold.owner.id) == (payment["paymentId"], "usr_asha")
    [created] = await world.announced("refund.created")
    assert created.refund.refund_id == refund["refundId"]
    [analytics] = await world.announced("analytics.refund.created")
    assert (analytics.amount.minor, analytics.gateway) == (20_000, "cashfree")
    assert await world.announced("payment.refunded") == []
    await desk.run()
    [event] = await world.announced("payment.refunded")
    assert event.payment.status == 10 and event.refund.status == pb.REFUND_STATUS_SUCCESS
    assert event.refund.hold_id == world.wallet.holds[hold.operation_key].hold_id
    assert event.refund.value_held == 16_000
    assert event.credit_note_number.startswith("CN") and len(event.credit_note_number) <= 16
    tax = event.refund.tax
    assert tax.net.minor + tax.cgst.minor + tax.sgst.minor + tax.igst.minor == 20_000
    [mail] = await world.announced("email.payment.refund")
    assert world.recipient(mail) == ("usr_asha@example.in", "Asha")
    assert (mail.amount.minor, mail.credits, mail.credit_note_number) == (20_000, 2_200, event.credit_note_number)
    assert mail.expected_date and mail.status == pb.REFUND_STATUS_SUCCESS
    assert await world.status(payment) == "PARTIALLY_REFUNDED"
    shown = await desk.read(refund)
    assert (shown["status"], shown["creditNoteNumber"]) == ("SUCCESS", event.credit_note_number)
    assert shown["bankReference"] and shown["gatewayRefundId"] and shown["expectedDate"] == mail.expected_date
    [audit] = [each for each in await world.announced("audit.recorded") if each.action == "refund.request"]
    assert (audit.actor_id, audit.payment_id) == ("usr_finance", payment["paymentId"])
    assert json.loads(audit.before_json)["refundable"] == 50_000
    assert json.loads(audit.after_json)["refundable"] == 30_000
    # The rest.
    last = await desk.requested(payment, reason="all of it")
    assert last["amount"] == 30_000 and last["credits"] == {"paid": 3_000, "bonus": 300}
    await desk.run()
    assert await world.status(payment) == "REFUNDED"
    numbers = [each.credit_note_number for each in await world.announced("payment.refunded")]
    assert [int(number.rpartition("/")[2]) for number in numbers] == [1, 2]
    [view] = await world.rows("select * from payment_refunds")
    assert (view.refunded, view.refund_amount_minor, view.refund_status) == (True, 50_000, "COMPLETED")


async def test_the_words_of_payment_providers(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    path = f"{PAYMENTS}/{payment['paymentId']}/refunds"
    response = await desk.post(path, amount=10_000, reason="the customer asked")
    assert response.status_code == 201
    data = response.json()["data"]
    assert (data["status"], data["amount"]) == ("pending", 10_000)
    listed = (await desk.get(f"/payment/{payment['paymentId']}")).json()["data"]["items"]
    assert [each["refundId"] for each in listed] == [data["refundId"]]


async def test_a_refund_that_the_gateway_refuses_gives_its_credits_back(
    world: World, desk: Desk, payment: dict[str, Any]
) -> None:
    refund = await desk.requested(payment, reason="FAILED")
    await desk.run()
    shown = await desk.read(refund)
    assert (shown["status"], shown["failureReason"]) == ("FAILED", "gateway_failed")
    [event] = await world.announced("refund.failed")
    assert event.refund.hold_id and event.refund.refund_id == refund["refundId"]
    assert await world.status(payment) == "SUCCESS"
    [alert] = [each for each in await world.announced("email.admin.alert") if each.cause == "refund_failed"]
    assert alert.fields["refundId"] == refund["refundId"]
    # What failed takes nothing: the payment can be refunded again, also for the same reason.
    again = await desk.requested(payment, reason="FAILED")
    assert again["refundId"] != refund["refundId"] and again["amount"] == 50_000


async def test_a_refund_that_comes_back_is_reversed(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    refund = await desk.requested(payment, 20_000)
    await desk.run()
    response = await world.sandbox.post(f"/control/refunds/{refund['refundId']}", json={"status": "REVERSED"})
    assert response.status_code == 200, response.text
    world.clock.advance(timedelta(days=1, minutes=1).total_seconds())
    await world.run_job("refund_checks")
    assert (await desk.read(refund))["status"] == "REVERSED"
    [event] = await world.announced("refund.reversed")
    assert event.refund.seq == 4
    assert await world.status(payment) == "SUCCESS"


# ── Credits that are spent ───────────────────────────────────────────────────────────────────────────────────────────


async def test_spent_credits_block_a_refund(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    world.wallet.spent = 10
    preview = (await desk.post(f"{REFUNDS}/preview", paymentId=payment["paymentId"])).json()["data"]
    assert (preview["isPossible"], preview["policy"]) == (False, "BLOCK")
    assert preview["creditsMissing"] == {"paid": 10, "bonus": 0}
    assert preview["refundable"] == 50_000
    refused = await desk.request(payment, key="k1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "refund_credits_spent")
    again = await desk.request(payment, key="k1")
    assert again.content == refused.content and again.headers["idempotent-replayed"] == "true"
    [event] = await world.announced("refund.failed")
    assert event.refund.failure_reason == "credits_spent" and not event.refund.hold_id
    await world.run_intents()
    [calls] = await world.rows("select count(*) as number from intents where kind = 'create_refund'")
    assert calls.number == 0


async def test_a_grant_that_is_on_its_way_is_waited_for(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    world.wallet.refusal = "wallet_grant_pending"
    refund = await desk.requested(payment)
    assert refund["status"] == "INITIATED"
    world.wallet.refusal = ""
    await world.run_intents()
    assert (await desk.read(refund))["status"] == "PROCESSING"


async def test_a_wallet_that_is_away_delays_a_refund_and_loses_nothing(
    world: World, desk: Desk, payment: dict[str, Any]
) -> None:
    world.wallet.is_away = True
    preview = await desk.post(f"{REFUNDS}/preview", paymentId=payment["paymentId"])
    assert preview.status_code == 503
    refund = await desk.requested(payment)
    assert refund["status"] == "INITIATED"
    world.clock.advance(3_700)
    assert await world.run_job("overdue_holds") == 1
    [alert] = [each for each in await world.announced("email.admin.alert") if each.cause == "hold_overdue"]
    assert alert.fields["waiting"] == refund["refundId"]
    world.wallet.is_away = False
    await world.run_intents()
    await desk.run()
    assert (await desk.read(refund))["status"] == "SUCCESS"
    assert len(world.wallet.holds) == 1


# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_double_click_is_one_refund(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    clicks = await asyncio.gather(*(desk.request(payment, 20_000) for _ in range(10)))
    assert {click.status_code for click in clicks} == {201}
    assert len({click.json()["data"]["refundId"] for click in clicks}) == 1
    world.clock.advance(timedelta(hours=5).total_seconds())
    later = await desk.requested(payment, 20_000, key="another key", user="usr_admin", roles=("ADMIN",))
    assert later["refundId"] == clicks[0].json()["data"]["refundId"]
    # The same amount for another reason, or a day later, is another refund.
    other = await desk.requested(payment, 20_000, reason="a second complaint")
    assert other["refundId"] != later["refundId"]
    assert len(world.wallet.holds) == 2


async def test_a_key_answers_with_the_first_refund(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    first = await desk.request(payment, 20_000, key="k1")
    again = await desk.request(payment, 20_000, key="k1")
    assert (again.status_code, again.content) == (201, first.content)
    reused = await desk.request(payment, 10_000, key="k1")
    assert (reused.status_code, reused.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_two_hundred_requests_never_refund_more_than_was_captured(world: World, desk: Desk) -> None:
    payments = [await world.paid(user=f"usr_{number}") for number in range(20)]

    async def ask(number: int) -> httpx.Response:
        payment = payments[number % 20]
        amount = (15_000, 20_000, 25_000)[number % 3]
        return await desk.request(payment, amount, reason=f"complaint {number}", key=f"key {number}")

    responses = await asyncio.gather(*(ask(number) for number in range(200)))
    # 503: identity did not answer within its second, on this busy event loop; nothing was done.
    assert {response.status_code for response in responses} <= {201, 400, 409, 503}
    made = await world.rows(
        "select payment_id, sum(amount_minor) as minor, count(*) as number from refunds"
        " where status in ('INITIATED', 'PROCESSING', 'SUCCESS') group by payment_id"
    )
    assert len(made) == 20
    assert all(0 < row.minor <= 50_000 for row in made)
    ids_made = {response.json()["data"]["refundId"] for response in responses if response.status_code == 201}
    assert len(ids_made) == sum(row.number for row in made) == len(world.wallet.holds)
    # Each key again: the same refund, none more.
    again = await asyncio.gather(*(ask(number) for number in range(200)))
    first_ids = {n: each.json()["data"]["refundId"] for n, each in enumerate(responses) if each.status_code == 201}
    for number, each in enumerate(again):
        if number in first_ids and each.status_code == 201:
            assert each.json()["data"]["refundId"] == first_ids[number]
    [total] = await world.rows(
        "select max(minor) as most from (select sum(amount_minor) as minor from refunds"
        " where status <> 'FAILED' group by payment_id) as each (minor)"
    )
    assert total.most <= 50_000


async def test_the_schema_refuses_more_than_was_captured(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    await desk.requested(payment, 30_000)
    columns = [each.name for each in tables.refunds.columns if each.name != "id"]
    copy = f"insert into refunds (id, {', '.join(columns)}) select gen_random_uuid(), {', '.join(columns)} from refunds"
    with pytest.raises(CheckViolationError, match="more than was captured"):
        async with world.db.begin() as tx:
            await tx.execute(copy)
    # Not when the first has failed.
    async with world.db.begin() as tx:
        await tx.execute("update refunds set status = 'FAILED'")
        await tx.execute(copy)
        await tx.execute(
            "update refunds set status = 'SUCCESS', succeeded_at = now() where id = (select id from refunds limit 1)"
        )
    with pytest.raises(CheckViolationError, match="more than was captured"):
        async with world.db.begin() as tx:
            await tx.execute("update refunds set status = 'PROCESSING' where status = 'FAILED'")


async def test_a_refund_moves_on_when_a_dispute_is_lost_beside_it(
    world: World, desk: Desk, payment: dict[str, Any]
) -> None:
    """More went back than was captured, by the bank's decision: the refund's own outcome is recorded all the same."""
    await desk.requested(payment)
    async with world.db.begin() as tx:
        await tx.execute(LOST_DISPUTE, id=ids.decode("pay", payment["paymentId"]), amount=20_000)
    async with world.db.begin() as tx:
        await tx.execute("update refunds set status = 'SUCCESS', succeeded_at = now(), next_check_at = now()")
        await tx.execute("update refunds set status = status, next_check_at = now()")
    # What adds to it is refused still.
    with pytest.raises(CheckViolationError, match="more than was captured"):
        async with world.db.begin() as tx:
            await tx.execute("update refunds set amount_minor = amount_minor + 1, net_minor = net_minor + 1")


async def test_what_a_lost_dispute_took_is_not_refunded_once_more(
    world: World, desk: Desk, payment: dict[str, Any]
) -> None:
    await desk.requested(payment, 20_000)
    async with world.db.begin() as tx:
        await tx.execute(LOST_DISPUTE, id=ids.decode("pay", payment["paymentId"]), amount=20_000)
    refused = await desk.request(payment, 10_001, reason="more than is left")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "refund_amount_invalid")
    columns = [each.name for each in tables.refunds.columns if each.name != "id"]
    copy = f"insert into refunds (id, {', '.join(columns)}) select gen_random_uuid(), {', '.join(columns)} from refunds"
    with pytest.raises(CheckViolationError, match="more than was captured"):
        async with world.db.begin() as tx:
            await tx.execute(copy)


async def test_the_history_is_append_only_and_knows_the_moves(
    world: World, desk: Desk, payment: dict[str, Any]
) -> None:
    refund = await desk.requested(payment)
    refund_id = ids.decode("rfd", refund["refundId"])
    with pytest.raises(PostgresError):
        async with world.db.begin() as tx:
            await tx.execute("update refund_history set reason = 'nothing'")
    for before in RefundStatus:
        for after in RefundStatus:
            if after in rules.MOVES[before]:
                continue
            with pytest.raises(CheckViolationError):
                async with world.db.begin() as tx:
                    await tx.execute(
                        "insert into refund_history values (:id, 9, :before, :after, 'r', 'a', now())",
                        id=refund_id,
                        before=before.value,
                        after=after.value,
                    )


# ── The gateway ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_webhook_before_the_answer_is_the_outcome(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    refund = await desk.requested(payment)
    await world.fault(operation="create_refund", action="apply_then_timeout", count=1)
    before = len(world.hooks)
    await world.run_intents()
    await world.hooks_arrive(before + 1)
    assert (await desk.read(refund))["status"] == "PROCESSING"
    await world.deliver(*world.hooks[before:], *world.hooks[before:])
    assert (await desk.read(refund))["status"] == "SUCCESS"
    await world.run_intents()
    await world.deliver(*world.hooks[before:])
    assert len(await world.announced("payment.refunded")) == 1
    assert len(await world.announced("email.payment.refund")) == 1


async def test_unknown_is_not_failed(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    refund = await desk.requested(payment)
    await world.fault(operation="create_refund", action="error", status=500, count=5)
    await world.fault(operation="get_refunds", action="error", status=500, count=2)
    for _ in range(5):
        await world.run_intents()
        world.clock.advance(timedelta(minutes=2).total_seconds())
        await world.run_job("refund_checks")
        assert (await desk.read(refund))["status"] == "PROCESSING"
    assert await world.announced("refund.failed") == []
    await desk.run()
    assert (await desk.read(refund))["status"] == "SUCCESS"
    assert len(world.wallet.holds) == 1


async def test_many_workers_at_one_refund_ask_the_gateway_once(
    world: World, desk: Desk, payment: dict[str, Any]
) -> None:
    """Their leases ran out, say: Redis lets one of them ask, and losing Redis costs a refused repetition."""
    refund = await desk.requested(payment)
    key = f"refund:request:{refund['refundId']}"
    [row] = await world.rows("select intent_id, payload from intents where kind = 'create_refund'")
    [creations] = [each for each in world.served.service.intents() if each.kind == "create_refund"]
    intent = Intent(row.intent_id, bytes(row.payload), 1)
    await world.redis.set(key, "another worker")
    with pytest.raises(RetryLater):
        await creations.execute(intent)
    await world.redis.delete(key)
    results = await asyncio.gather(*[creations.execute(intent) for _ in range(20)], return_exceptions=True)
    waited = [each for each in results if isinstance(each, RetryLater)]
    # One at a time: whoever comes after it has asked finds the refund at the gateway.
    assert waited and {each.code for each in waited} == {"refund_in_flight"}
    assert await world.redis.get(key) is None
    await world.redis.flushdb()
    await world.run_intents()
    [listed] = (await desk.get(f"/payment/{payment['paymentId']}")).json()["data"]["items"]
    assert listed["status"] in ("PROCESSING", "SUCCESS")
    headers = {"x-client-id": APP_ID, "x-client-secret": SECRET, "x-api-version": "2025-01-01"}
    answer = await world.sandbox.get(f"/pg/orders/{payment['orderId']}/refunds", headers=headers)
    assert [each["refund_id"] for each in answer.json()] == [refund["refundId"]]


async def test_the_sweep_finds_a_success_whose_webhook_was_lost(
    world: World, desk: Desk, payment: dict[str, Any]
) -> None:
    refund = await desk.requested(payment)
    before = len(world.hooks)
    await world.run_intents()
    await world.hooks_arrive(before + 1)
    world.clock.advance(timedelta(minutes=2).total_seconds())
    await world.run_job("refund_checks")
    assert (await desk.read(refund))["status"] == "SUCCESS"


async def test_a_refund_of_the_dashboard_is_taken_over(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    before = len(world.hooks)
    path = f"/control/orders/{payment['orderId']}/refunds"
    response = await world.sandbox.post(path, json={"amount_paise": 10_000})
    assert response.status_code == 201, response.text
    await world.hooks_arrive(before + 1)
    await world.deliver(*world.hooks[before:])
    await world.deliver(*world.hooks[before:])
    await world.run_intents()
    await world.run_job("refund_checks")
    [refund] = (await desk.get(f"/payment/{payment['paymentId']}")).json()["data"]["items"]
    assert (refund["status"], refund["source"], refund["amount"]) == ("SUCCESS", "GATEWAY", 10_000)
    assert refund["policy"] == "ABSORB" and refund["creditsHeld"] == {"paid": 1_000, "bonus": 100}
    assert len(await world.announced("payment.refunded")) == 1
    assert await world.status(payment) == "PARTIALLY_REFUNDED"


# ── Rights ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_may_refund(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    nobody = await desk.request(payment, roles=())
    assert nobody.status_code == 403
    support = await desk.request(payment, 20_000, roles=("SUPPORT",), user="usr_support")
    assert support.status_code == 201
    world.identity.dismissed.add("usr_gone")
    gone = await desk.request(payment, roles=("FINANCE",), user="usr_gone")
    assert (gone.status_code, gone.json()["error"]["code"]) == (403, "rights_outdated")
    elsewhere = await desk.get(f"/payment/{payment['paymentId']}", merchant="mer_other")
    assert elsewhere.status_code == 404


async def test_operators_refund_and_the_reconciler_lists(world: World, desk: Desk, payment: dict[str, Any]) -> None:
    stub = RefundServiceStub(world.channel())  # type: ignore[no-untyped-call]
    item = pb.RefundRequest(
        payment_id=payment["paymentId"], reason="asked by phone", idempotency_key="cli-1", operator="operator:root"
    )
    bad = pb.RefundRequest(payment_id=payment["paymentId"], reason="x", operator="operator:root")
    response = await stub.RequestRefunds(pb.RequestRefundsRequest(items=[item, bad, item]), timeout=10)
    first, refused, again = response.results
    assert first.refund.requested_by == "operator:root" and first.refund.amount.minor == 50_000
    assert refused.error.code == "request_invalid"
    assert again.refund.refund_id == first.refund.refund_id
    listed = await stub.ListRefunds(pb.ListRefundsRequest(payment_ids=[payment["paymentId"]]), timeout=10)
    assert [each.refund_id for each in listed.refunds] == [first.refund.refund_id]
    window = pb.ListRefundsRequest(changed_from_unix_micros=0, changed_to_unix_micros=4_000_000_000_000_000, limit=1)
    page = await stub.ListRefunds(window, timeout=10)
    assert len(page.refunds) == 1 and not page.next_cursor
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.ListRefunds(pb.ListRefundsRequest(limit=5_000), timeout=10)


async def test_a_large_refund_needs_a_second_person(world: World, desk: Desk) -> None:
    payment = await world.paid(packId=None, amount=2_000_000)
    waiting = await desk.request(payment, key="k1")
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (202, "refund_awaits_approval")
    same = await desk.request(payment, key="k1")
    assert same.json()["error"]["fields"] == waiting.json()["error"]["fields"]
    approval_id = waiting.json()["error"]["fields"]["approvalId"]
    path = f"{REFUNDS}/approvals/{approval_id}/decide"
    own = await desk.post(path, verdict="APPROVE", reason="fine")
    assert (own.status_code, own.json()["error"]["code"]) == (403, "approval_by_proposer")
    done = await desk.post(path, user="usr_admin", roles=("ADMIN",), verdict="APPROVE", reason="fine")
    assert (done.status_code, done.json()["data"]["status"]) == (200, "APPROVED")
    repeated = await desk.post(path, user="usr_admin", roles=("ADMIN",), verdict="APPROVE", reason="fine")
    assert repeated.json()["data"]["status"] == "APPROVED"
    [refund] = (await desk.get(f"/payment/{payment['paymentId']}")).json()["data"]["items"]
    assert (refund["status"], refund["requestedBy"]) == ("PROCESSING", "usr_finance")
    answered = await desk.request(payment, key="k1")
    assert (answered.status_code, answered.json()["data"]["refundId"]) == (201, refund["refundId"])
    actions = [each.action for each in await world.announced("audit.recorded") if each.resource_id == approval_id]
    assert actions == ["approval.propose", "approval.approve"]


async def test_parts_count_together_towards_the_limits(world: World, desk: Desk) -> None:
    payment = await world.paid(packId=None, amount=2_000_000)
    support = {"roles": ("SUPPORT",), "user": "usr_support"}
    await desk.requested(payment, 60_000, **support)
    second = await desk.request(payment, 60_000, **support | {"reason": "another complaint"})
    assert (second.status_code, second.json()["error"]["code"]) == (403, "refund_limit_exceeded")
    await desk.requested(payment, 940_000)
    third = await desk.request(payment, 100, reason="one more")
    assert (third.status_code, third.json()["error"]["code"]) == (202, "refund_awaits_approval")


async def test_a_proposal_that_nobody_decides_expires(world: World, desk: Desk) -> None:
    payment = await world.paid(packId=None, amount=2_000_000)
    waiting = await desk.request(payment)
    world.clock.advance(timedelta(hours=73).total_seconds())
    assert await world.run_job("expire_approvals") == 1
    approval_id = waiting.json()["error"]["fields"]["approvalId"]
    late = await desk.post(
        f"{REFUNDS}/approvals/{approval_id}/decide",
        user="usr_admin",
        roles=("ADMIN",),
        verdict="APPROVE",
        reason="late",
    )
    assert late.json()["error"]["code"] == "approval_closed"
    [listed] = (await desk.get("/approvals")).json()["data"]["items"]
    assert listed["status"] == "EXPIRED"
