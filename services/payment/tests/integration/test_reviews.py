"""The review queue through its endpoints: who may decide, what is announced, races; holds from webhook to release."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
import httpx
import pytest
from asyncpg import PostgresError

from commdesk.fraud.v1.events_pb2 import FraudDecided, FraudFlagged
from commdesk.payment.v1 import payment_pb2 as pb
from commdesk.payment.v1.payment_pb2_grpc import ReviewServiceStub
from common import ids
from common.database import Tx
from payment.domain.payments import Payment
from payment.domain.states import FraudReview
from payment.settings import Settings
from payment.store import commands
from payment.use_cases.reviews import FraudStatement, record_reviews

from .world import PAYMENTS, World

REVIEWS = f"{PAYMENTS}/reviews"


class Staff:
    """Staff at the review queue."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def page(self, *roles: str, merchant: str = "mer_commdesk", **query: Any) -> httpx.Response:
        headers = self.world.auth("usr_staff", *(roles or ("SUPPORT",)), merchant=merchant)
        return await self.world.http.get(REVIEWS, params=query, headers=headers)

    async def listed(self, **query: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.page(**query)).json()["data"]["items"]
        return items

    async def show(self, payment_id: str, *roles: str, merchant: str = "mer_commdesk") -> httpx.Response:
        headers = self.world.auth("usr_staff", *(roles or ("SUPPORT",)), merchant=merchant)
        return await self.world.http.get(f"{REVIEWS}/{payment_id}", headers=headers)

    async def decide(
        self,
        payment_id: str,
        action: str,
        *,
        roles: Sequence[str] = ("FINANCE",),
        merchant: str = "mer_commdesk",
        user: str = "usr_finance",
        **body: Any,
    ) -> httpx.Response:
        if "version" not in body:
            shown = (await self.show(payment_id)).json()["data"]
            body["version"] = shown["review"]["version"]
        headers = self.world.auth(user, *roles, merchant=merchant)
        sent = {"reason": "checked with the gateway"} | body
        return await self.world.http.post(f"{REVIEWS}/{payment_id}/{action}", json=sent, headers=headers)


@pytest.fixture
def staff(world: World) -> Staff:
    return Staff(world)


async def sync(world: World) -> None:
    """Carry out what webhooks could not decide: the gateway's list is read."""
    commands = await world.announced("payment.sync.requested")
    await world.handle("payment.processing", commands)


async def duplicated(world: World) -> dict[str, Any]:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    await world.pay(data["orderId"], force=True)
    await world.deliver(world.hooks[-1])
    await sync(world)
    return data


# ── Receipts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_capture_is_a_receipt_until_it_is_refunded(world: World, staff: Staff) -> None:
    data = await duplicated(world)
    await world.deliver(world.hooks[-1])
    await sync(world)
    [received] = await world.announced("payment.received")
    assert (received.reason, received.amount.minor, received.event_id[4:]) == (
        "DUPLICATE",
        50_000,
        received.receipt_id[4:],
    )
    [item] = await staff.listed()
    assert (item["paymentId"], item["kinds"]) == (data["paymentId"], ["DUPLICATE"])
    assert (await world.totals())["receipts.unapplied.minor"] == 50_000
    [receipt] = item["receipts"]
    done = await staff.decide(
        data["paymentId"], "refunded", receiptId=receipt["receiptId"], gatewayRefundId="cf_refund_1"
    )
    assert (done.status_code, done.json()["data"]["kinds"]) == (200, [])
    [refunded] = await world.announced("payment.receipt.refunded")
    assert (refunded.amount.minor, refunded.gateway_refund_id) == (50_000, "cf_refund_1")
    statuses = [row.status for row in await world.rows("select status from transactions order by status")]
    assert statuses == ["CAPTURED", "REFUNDED"]
    assert await staff.listed() == []
    assert (await world.totals())["receipts.unapplied.minor"] == 0
    [audit] = [each for each in await world.announced("audit.recorded") if each.action == "payment.review.refunded"]
    assert (audit.actor_id, audit.resource_id) == ("usr_finance", data["paymentId"])
    assert '"kinds":["DUPLICATE"]' in audit.before_json
    assert '"reason":"checked with the gateway"' in audit.after_json
    # The payment itself is untouched.
    assert await world.status(data) == "SUCCESS"
    assert len(await world.announced("payment.success")) == 1


async def test_old_second_captures_are_announced_once(world: World) -> None:
    await duplicated(world)
    # As the migration leaves what it finds.
    async with world.db.begin() as tx:
        await tx.execute("update receipts set announced_at = null")
        await tx.execute("delete from outbox where routing_key = 'payment.received'")
    assert await world.run_job("announce_receipts") == 1
    assert await world.run_job("announce_receipts") == 0
    [received] = await world.announced("payment.received")
    assert received.amount.minor == 50_000


async def test_money_in_another_currency_waits_outside_the_books(world: World, staff: Staff) -> None:
    """It is in the queue until its refund is recorded, and the ledger hears of none of it."""
    data = await world.created()
    await world.pay(data["orderId"], outcome="currency_mismatch")
    await world.deliver(world.hooks[-1])
    [item] = await staff.listed()
    [receipt] = item["receipts"]
    assert (item["kinds"], receipt["currency"]) == (["QUARANTINED"], "USD")
    totals = await world.totals()
    assert (totals["receipts.unbooked.count"], totals["receipts.unapplied.minor"]) == (1, 0)
    # A receipt of the time before there were receipts.
    async with world.db.begin() as tx:
        await tx.execute("update receipts set announced_at = null")
    assert await world.run_job("announce_receipts") == 1
    refund = {"receiptId": receipt["receiptId"], "gatewayRefundId": "cf_refund_1"}
    assert (await staff.decide(data["paymentId"], "refunded", **refund)).status_code == 200
    assert (await world.totals())["receipts.unbooked.count"] == 0
    assert {"receipt_not_booked", "amount_mismatch"} == set(await alerts_about(world, data))
    for key in ("payment.received", "payment.receipt.refunded"):
        assert await world.announced(key) == []


async def test_the_database_takes_money_once_and_gives_it_back_once(world: World) -> None:
    await duplicated(world)
    for change in (
        "update receipts set applied_minor = 30000, refunded_minor = 30000, gateway_refund_id = 'r'",
        "update receipts set refunded_minor = 1",
        "update receipts set applied_minor = -1",
        "insert into receipts select gen_random_uuid(), payment_id, merchant_id, gateway, gateway_payment_id, reason,"
        " amount_minor, currency, 0, 0, '', '', '', '', received_at, announced_at from receipts",
    ):
        with pytest.raises(PostgresError, match="constraint"):
            async with world.db.begin() as tx:
                await tx.execute(change)


# ── Decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_late_success_under_review_becomes_the_success(world: World, staff: Staff) -> None:
    data = await world.created()
    await quarantine(world, data)
    [item] = await staff.listed(kind="QUARANTINED")
    assert item["reason"] == "late_success"
    shown = (await staff.show(data["paymentId"])).json()["data"]
    assert [each["status"] for each in shown["attempts"]] == ["UNKNOWN"]
    assert {each["kind"] for each in shown["evidence"]} >= {"transition"}
    done = await staff.decide(data["paymentId"], "fulfil")
    assert (done.status_code, done.json()["data"]["status"]) == (200, "SUCCESS")
    [success] = await world.announced("payment.success")
    [received] = await world.announced("payment.received")
    assert success.receipt_id == received.receipt_id
    assert [row.status for row in await world.rows("select status from transactions")] == ["CAPTURED"]
    assert [row.status for row in await world.rows("select status from payment_attempts")] == ["SUCCESS"]
    shown = (await staff.show(data["paymentId"])).json()["data"]
    assert [each["actor"] for each in shown["evidence"] if each["kind"] == "decision"] == ["usr_finance"]
    totals = await world.totals()
    assert (totals["receipts.applied.minor"], totals["receipts.unapplied.minor"]) == (50_000, 0)


async def quarantine(world: World, data: dict[str, Any]) -> None:
    """The money of a closed payment came, as LATE_SUCCESS_POLICY=review books it."""
    payment_id = ids.decode("pay", data["paymentId"])
    async with world.db.begin() as tx:
        await tx.execute(
            "insert into receipts (id, payment_id, merchant_id, gateway, gateway_payment_id, reason, amount_minor,"
            " currency, payment_method, received_at) values (:id, :payment_id, 'mer_commdesk', 'cashfree', 'cf_late',"
            " 'LATE_SUCCESS', 50000, 'INR', 'upi', now())",
            id=ids.new(),
            payment_id=payment_id,
        )
        await tx.execute(
            "insert into payment_attempts (id, payment_id, gateway, gateway_payment_id, status, rank, created_at,"
            " updated_at, confirmed_at)"
            " values (:id, :payment_id, 'cashfree', 'cf_late', 'UNKNOWN', 3, now(), now(), now())",
            id=ids.new(),
            payment_id=payment_id,
        )
        await tx.execute(
            "update payments set review = 'QUARANTINED', review_reason = 'late_success', next_check_at = null"
            " where id = :id",
            id=payment_id,
        )
    await world.run_job("announce_receipts")


async def test_the_same_decision_again_changes_nothing_and_another_is_refused(world: World, staff: Staff) -> None:
    data = await world.created()
    await quarantine(world, data)
    version = (await staff.listed())[0]["version"]
    for _ in range(3):
        assert (await staff.decide(data["paymentId"], "fulfil", version=version)).status_code == 200
    others = [
        await staff.decide(data["paymentId"], "fulfil", version=version, user="usr_other"),
        await staff.decide(data["paymentId"], "dismiss", version=version),
        await staff.decide(data["paymentId"], "dismiss", version="0123456789abcdef"),
    ]
    assert [each.status_code for each in others] == [409] * 3
    assert {each.json()["error"]["code"] for each in others} == {"review_changed"}
    assert len(await world.announced("payment.success")) == 1
    assert len(await world.rows("select 1 from review_decisions")) == 1


async def test_of_many_decisions_at_once_one_counts(world: World, staff: Staff) -> None:
    data = await world.created()
    await quarantine(world, data)
    [item] = await staff.listed()
    [receipt] = item["receipts"]
    refund = {"receiptId": receipt["receiptId"], "gatewayRefundId": "cf_refund_1"}
    answers = await asyncio.gather(
        *(
            staff.decide(data["paymentId"], action, version=item["version"], user=f"usr_{number}", **body)
            for number in range(4)
            for action, body in (("fulfil", {}), ("refunded", refund))
        )
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    outcomes = len(await world.announced("payment.success")) + len(await world.announced("payment.receipt.refunded"))
    assert outcomes == 1


async def test_one_refund_of_the_gateway_gives_one_receipt_back(world: World, staff: Staff) -> None:
    for number, code in ((1, 200), (2, 409)):
        data = await duplicated(world)
        [item] = [each for each in await staff.listed() if each["paymentId"] == data["paymentId"]]
        refund = {"receiptId": item["receipts"][0]["receiptId"], "gatewayRefundId": "cf_refund_1"}
        answer = await staff.decide(data["paymentId"], "refunded", **refund)
        assert answer.status_code == code, number
    assert answer.json()["error"]["code"] == "refund_id_taken"


async def test_who_may_read_and_who_may_decide(world: World, staff: Staff) -> None:
    data = await world.created()
    await quarantine(world, data)
    assert (await staff.page("USER")).status_code == 403
    assert (await staff.show(data["paymentId"], "USER")).status_code == 403
    assert (await staff.show(data["paymentId"], "SUPPORT", merchant="mer_other")).status_code == 404
    assert (await staff.page("ADMIN", merchant="mer_other")).json()["data"]["items"] == []
    version = (await staff.listed())[0]["version"]
    for action in ("fulfil", "dismiss"):
        for roles in ((), ("USER",), ("SUPPORT",)):
            answer = await staff.decide(data["paymentId"], action, roles=roles, version=version)
            assert answer.status_code == 403
        answer = await staff.decide(data["paymentId"], action, merchant="mer_other", version=version)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "review_not_found")
    assert (await staff.decide("pay_nonsense", "dismiss", version=version)).status_code == 400
    assert (await staff.decide(ids.encode("pay", ids.new()), "dismiss", version=version)).status_code == 404
    assert await world.announced("payment.success") == []


@pytest.mark.parametrize("refusal", ["rights_outdated", "step_up_required", "second_factor_missing"])
async def test_a_decision_needs_rights_that_hold_now(world: World, staff: Staff, refusal: str) -> None:
    data = await world.created()
    await quarantine(world, data)
    world.identity.refusal = refusal
    world.identity.dismissed.add("usr_finance")
    for action in ("fulfil", "dismiss"):
        refused = await staff.decide(data["paymentId"], action)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, refusal)
    await world.neighbours.stop(0)
    unknown = await staff.decide(data["paymentId"], "fulfil", user="usr_other")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "callee_unavailable")
    assert await world.announced("payment.success") == []


@pytest.mark.parametrize(
    "body",
    [{"reason": ""}, {"reason": "   "}, {"reason": "a\0b c"}, {"reason": "x" * 501}, {"version": ""}, {"version": "x"}],
)
async def test_a_decision_says_why_and_about_what(world: World, staff: Staff, body: dict[str, str]) -> None:
    data = await world.created()
    await quarantine(world, data)
    answer = await staff.decide(data["paymentId"], "fulfil", **({"version": "0123456789abcdef"} | body))
    assert answer.status_code == 400


async def test_a_quarantine_without_money_is_dismissed(world: World, staff: Staff) -> None:
    data = await world.created()
    await world.fault(order_id=data["orderId"], operation="get_order", action="wrong_amount", amount_paise=100)
    await world.verify(paymentId=data["paymentId"])
    [item] = await staff.listed()
    assert (item["kinds"], item["receipts"]) == (["QUARANTINED"], [])
    assert (await staff.decide(data["paymentId"], "fulfil")).json()["error"]["code"] == "receipt_not_found"
    assert (await staff.decide(data["paymentId"], "dismiss")).json()["data"]["status"] == "FAILED"
    assert await staff.listed() == []


async def test_pages_of_the_queue(world: World, staff: Staff) -> None:
    made = [await world.created() for _ in range(5)]
    async with world.db.begin() as tx:
        await tx.execute("update payments set review = 'QUARANTINED', review_reason = 'amount_mismatch'")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await staff.page(limit="2", **cursor)).json()["data"]
        seen += [item["paymentId"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == sorted((each["paymentId"] for each in made), reverse=True)
    assert await staff.listed(kind="DUPLICATE") == []
    assert (await staff.page(kind="NONSENSE")).status_code == 400
    assert (await staff.page(cursor="nonsense")).status_code == 400


# ── Holds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the service reads its settings."""
    monkeypatch.setenv("FRAUD_HOLD_FLAGGED", "review")


async def held(world: World) -> dict[str, Any]:
    data = await world.created()
    flag = FraudFlagged(payment_id=data["paymentId"], score=700, reasons=["order_attempts_failed_1h"])
    await world.handle("payment.processing", [flag])
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    assert await world.announced("payment.received") == [], "a webhook's word is not booked"
    await sync(world)
    return data


@pytest.mark.usefixtures("hold")
async def test_a_flagged_payment_is_held_and_released_by_fraud(world: World, staff: Staff) -> None:
    data = await held(world)
    assert await world.status(data) == "PENDING"
    assert await world.announced("payment.success") == []
    [flagged] = await world.announced("payment.flagged")
    [item] = await staff.listed(kind="FLAGGED")
    assert (item["paymentId"], item["receipts"][0]["receiptId"]) == (data["paymentId"], flagged.receipt_id)
    allow = FraudDecided(payment_id=data["paymentId"], decision="ALLOW", actor_id="usr_support")
    for _ in range(2):
        await world.handle("payment.processing", [allow, allow])
    assert await world.status(data) == "SUCCESS"
    [success] = await world.announced("payment.success")
    assert success.receipt_id == flagged.receipt_id
    [released] = await world.announced("payment.released")
    assert released.outcome == "RELEASED"
    assert await staff.listed() == []
    # The webhook that comes again finds what it is about.
    await world.deliver(world.hooks[-1])
    await sync(world)
    assert len(await world.announced("payment.received")) == 1


@pytest.mark.usefixtures("hold")
async def test_a_refused_payment_waits_for_its_refund(world: World, staff: Staff) -> None:
    data = await held(world)
    block = FraudDecided(payment_id=data["paymentId"], decision="BLOCK", actor_id="usr_support")
    await world.handle("payment.processing", [block])
    [alert] = [each for each in await world.announced("email.admin.alert") if each.cause == "receipt_refund_due"]
    assert alert.fields["paymentId"] == data["paymentId"]
    [item] = await staff.listed()
    refund = {"receiptId": item["receipts"][0]["receiptId"], "gatewayRefundId": "cf_refund_9"}
    done = await staff.decide(data["paymentId"], "refunded", **refund)
    assert (done.json()["data"]["status"], done.json()["data"]["kinds"]) == ("FAILED", [])
    [mail] = await world.announced("email.payment.failed")
    assert mail.reason == "receipt_refunded"
    assert await world.announced("payment.success") == []


@pytest.mark.usefixtures("hold")
async def test_finance_may_fulfil_what_is_held(world: World, staff: Staff) -> None:
    data = await held(world)
    assert (await staff.decide(data["paymentId"], "dismiss")).json()["error"]["code"] == "review_action_invalid"
    assert (await staff.decide(data["paymentId"], "fulfil")).status_code == 200
    [decided] = await world.announced("payment.review.decided")
    assert (decided.payment.payment_id, decided.action, decided.actor_id) == (
        data["paymentId"],
        "FULFIL",
        "usr_finance",
    )
    late = FraudDecided(payment_id=data["paymentId"], decision="BLOCK", actor_id="usr_support")
    await world.handle("payment.processing", [late])
    [row] = await world.rows("select status, review, fraud_review from payments")
    assert tuple(row) == ("SUCCESS", "ALLOWED", "ALLOWED")
    assert await alerts_about(world, data) == ["fraud_refused_late"]


@pytest.mark.usefixtures("hold")
async def test_a_refund_refuses_the_payment_and_a_contrary_verdict_is_alerted(world: World, staff: Staff) -> None:
    data = await held(world)
    [item] = await staff.listed()
    refund = {"receiptId": item["receipts"][0]["receiptId"], "gatewayRefundId": "cf_refund_9"}
    assert (await staff.decide(data["paymentId"], "refunded", **refund)).status_code == 200
    [decided] = await world.announced("payment.review.decided")
    assert (decided.action, decided.payment.payment_id) == ("REFUNDED", data["paymentId"])
    for verdict in ("BLOCK", "ALLOW"):
        late = FraudDecided(payment_id=data["paymentId"], decision=verdict, actor_id="usr_support")
        await world.handle("payment.processing", [late])
    [row] = await world.rows("select status, fraud_review from payments")
    assert tuple(row) == ("FAILED", "BLOCKED")
    assert await alerts_about(world, data) == ["fraud_verdict_ignored"]


async def alerts_about(world: World, data: dict[str, Any]) -> list[str]:
    alerts = await world.announced("email.admin.alert")
    return [each.cause for each in alerts if each.fields["paymentId"] == data["paymentId"]]


@pytest.mark.parametrize("decision", ["", "REVIEW", "allow"])
@pytest.mark.usefixtures("hold")
async def test_a_verdict_that_is_not_known_grants_nothing(world: World, staff: Staff, decision: str) -> None:
    """A newer release of fraud may have verdicts that this one does not carry out."""
    data = await held(world)
    await world.handle("payment.processing", [FraudDecided(payment_id=data["paymentId"], decision=decision)])
    assert await world.announced("payment.success") == []
    assert [item["kinds"] for item in await staff.listed()] == [["FLAGGED"]]
    assert await world.keep_dead_letters() == 1


async def test_a_verdict_before_the_payment_is_obeyed_without_the_policy(world: World, staff: Staff) -> None:
    data = await world.created()
    block = FraudDecided(payment_id=data["paymentId"], decision="BLOCK", actor_id="usr_support")
    await world.handle("payment.processing", [block])
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    await sync(world)
    assert await world.announced("payment.success") == []
    [item] = await staff.listed()
    assert (item["kinds"], item["fraudReview"]) == (["FLAGGED"], "BLOCKED")


async def test_a_quarantine_hides_no_verdict_and_a_verdict_changes_the_version(world: World, staff: Staff) -> None:
    data = await world.created()
    await quarantine(world, data)
    [before] = await staff.listed()
    flag = FraudFlagged(payment_id=data["paymentId"], score=700, reasons=["order_attempts_failed_1h"])
    await world.handle("payment.processing", [flag])
    [after] = await staff.listed()
    assert (before["fraudReview"], after["fraudReview"], after["review"]) == ("NONE", "FLAGGED", "QUARANTINED")
    refused = await staff.decide(data["paymentId"], "fulfil", version=before["version"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "review_changed")


async def test_several_statements_about_one_payment_are_saved_as_one(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment and its receipts are written once for each batch, as the last statement leaves them."""
    data, other = await world.created(), await world.created()
    statements = [
        FraudStatement(ids.decode("pay", each["paymentId"]), review, "x", None, "usr_support")
        for review in (FraudReview.FLAGGED, FraudReview.ALLOWED, FraudReview.BLOCKED)
        for each in (data, other)
    ]
    saved: list[int] = []

    async def save_payments(tx: Tx, payments: Sequence[Payment]) -> None:
        saved.append(len(payments))
        await commands_save_payments(tx, payments)

    commands_save_payments = commands.save_payments
    monkeypatch.setattr(commands, "save_payments", save_payments)
    async with world.db.begin() as tx:
        results = await record_reviews(tx, statements, clock=world.clock, settings=settings.decisions)
    assert results == [None] * 6
    assert saved == [2]
    rows = await world.rows("select fraud_review from payments")
    assert [row.fraud_review for row in rows] == ["ALLOWED"] * 2


async def test_without_the_policy_a_flagged_payment_is_granted_at_once(world: World, staff: Staff) -> None:
    data = await world.created()
    await world.handle("payment.processing", [FraudFlagged(payment_id=data["paymentId"], score=700, reasons=["x"])])
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    assert len(await world.announced("payment.success")) == 1
    assert [item["kinds"] for item in await staff.listed()] == [["FLAGGED"]]


# ── Failed attempts ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_fraud_hears_of_each_failed_attempt_once_and_of_no_other(world: World) -> None:
    data = await world.created()
    for _ in range(3):
        await world.pay(data["orderId"], outcome="failure", method="card")
    await world.deliver(*world.hooks)
    await world.deliver(*world.hooks)
    await world.verify(paymentId=data["paymentId"])
    failed = await world.announced("payment.attempt.failed")
    rows = await world.rows("select gateway_payment_id from payment_attempts where status = 'FAILED'")
    assert sorted(each.gateway_payment_id for each in failed) == sorted(row.gateway_payment_id for row in rows)
    assert len(failed) == 3
    assert {each.payment.payment_id for each in failed} == {data["paymentId"]}
    assert all(each.reason and "@" not in str(each) for each in failed)
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    assert len(await world.announced("payment.attempt.failed")) == 3


# ── Operators ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_operators_list_show_and_decide_over_grpc(world: World) -> None:
    data = await duplicated(world)
    stub = ReviewServiceStub(world.channel())  # type: ignore[no-untyped-call]
    listed = await stub.ListReviews(pb.ListReviewsRequest(kind="DUPLICATE"), timeout=5)
    assert [each.payment.payment_id for each in listed.reviews] == [data["paymentId"]]
    shown = await stub.GetReview(pb.GetReviewRequest(payment_id=data["paymentId"]), timeout=5)
    assert sorted(each.status for each in shown.attempts) == ["SUCCESS", "SUCCESS"]
    [receipt] = shown.review.receipts
    request = pb.DecideReviewRequest(
        payment_id=data["paymentId"],
        action="REFUNDED",
        version=shown.review.version,
        reason="in the dashboard",
        actor="operator:asha",
        receipt_id=receipt.receipt_id,
        gateway_refund_id="cf_refund_1",
    )
    for wrong in ({"actor": "usr_1"}, {"reason": "x"}, {"action": "BURN"}, {"version": "zzz"}, {"payment_id": "pay_x"}):
        bad = pb.DecideReviewRequest()
        bad.CopyFrom(request)
        for name, value in wrong.items():
            setattr(bad, name, value)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.DecideReview(bad, timeout=5)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    answer = await stub.DecideReview(request, timeout=5)
    assert list(answer.review.kinds) == []
    assert len(await world.announced("payment.receipt.refunded")) == 1
