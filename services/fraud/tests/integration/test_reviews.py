"""People decide about flagged payments: once, with a reason, within their merchant."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asyncpg import PostgresError

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.payment_pb2 import Payment
from common import ids
from common.events import micros
from common.testing import Served, published
from fraud import consumers

from ..conftest import Identity

PATH = "/api/v1/fraud/reviews"


class Staff:
    """Flag payments and decide about them."""

    def __init__(self, fraud: Served, access_token: Callable[..., str]) -> None:
        self.fraud, self.db, self._token = fraud, fraud.resources.db, access_token

    async def flag(self, merchant_id: str = "mer_1") -> str:
        """A payment on whose order five cards were tried."""
        payment = Payment(
            payment_id=ids.encode("pay", ids.new()),
            merchant_id=merchant_id,
            user_id="usr_1",
            amount=Money(minor=50_000, currency="INR"),
        )
        event = pb.PaymentAttemptFailed(
            payment=payment, time_unix_micros=micros(self.fraud.resources.clock.now()), ip="1.2.3.4"
        )
        await self.fraud.handle(consumers.QUEUE, [event] * 5)
        return payment.payment_id

    def headers(self, user_id: str, roles: tuple[str, ...], merchant_id: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token(user_id, merchant_id=merchant_id, roles=roles)}"}

    async def list(
        self, *, roles: tuple[str, ...] = ("SUPPORT",), merchant_id: str = "mer_1", **query: Any
    ) -> httpx.Response:
        return await self.fraud.http.get(PATH, params=query, headers=self.headers("usr_staff", roles, merchant_id))

    async def decide(
        self,
        payment_id: str,
        verdict: str = "ALLOW",
        *,
        reason: str = "known customer",
        user_id: str = "usr_staff",
        roles: tuple[str, ...] = ("SUPPORT",),
        merchant_id: str = "mer_1",
    ) -> httpx.Response:
        return await self.fraud.http.post(
            f"{PATH}/{payment_id}/decision",
            json={"verdict": verdict, "reason": reason},
            headers=self.headers(user_id, roles, merchant_id),
        )


@pytest.fixture
def staff(fraud: Served, access_token: Callable[..., str]) -> Staff:
    return Staff(fraud, access_token)


async def test_a_flagged_payment_is_listed_until_somebody_decides(staff: Staff) -> None:
    payment_id = await staff.flag()
    [item] = (await staff.list()).json()["data"]["items"]
    assert (item["paymentId"], item["reasons"], item["userId"]) == (payment_id, ["order_attempts_failed_1h"], "usr_1")
    response = await staff.decide(payment_id, "BLOCK", reason="stolen card")
    assert (response.status_code, response.json()["data"]["verdict"]) == (200, "BLOCK")
    assert (await staff.list()).json()["data"]["items"] == []
    [decided] = (await staff.list(status="DECIDED")).json()["data"]["items"]
    assert (decided["decidedBy"], decided["reason"]) == ("usr_staff", "stolen card")
    [(_, event)] = await published(staff.db, "fraud.decided")
    assert (event.payment_id, event.decision, event.actor_id) == (payment_id, "BLOCK", "usr_staff")  # type: ignore[attr-defined]
    [(_, audit)] = await published(staff.db, "audit.recorded")
    assert (audit.action, audit.resource_id) == ("fraud.review.decide", payment_id)  # type: ignore[attr-defined]
    assert '"reason":"stolen card"' in audit.after_json  # type: ignore[attr-defined]


@pytest.mark.parametrize(("second", "status"), [("ALLOW", 200), ("BLOCK", 409)])
async def test_the_first_decision_stands_and_repeating_it_is_no_error(staff: Staff, second: str, status: int) -> None:
    payment_id = await staff.flag()
    assert (await staff.decide(payment_id, "ALLOW")).status_code == 200
    assert (await staff.decide(payment_id, second)).status_code == status
    assert len(await published(staff.db, "fraud.decided")) == 1


async def test_of_many_decisions_at_once_one_counts(staff: Staff) -> None:
    payment_id = await staff.flag()
    verdicts = ["ALLOW", "BLOCK"] * 5
    answers = await asyncio.gather(*(staff.decide(payment_id, verdict) for verdict in verdicts))
    [(_, event)] = await published(staff.db, "fraud.decided")
    agreeing = Counter(verdicts)[event.decision]  # type: ignore[attr-defined]
    assert Counter(answer.status_code for answer in answers) == {200: agreeing, 409: 10 - agreeing}


async def test_a_decision_needs_the_role_the_merchant_and_a_review(staff: Staff) -> None:
    payment_id = await staff.flag()
    assert (await staff.decide(payment_id, roles=("USER",))).status_code == 403
    assert (await staff.list(roles=())).status_code == 403
    assert (await staff.decide(payment_id, merchant_id="mer_2")).status_code == 404
    assert (await staff.list(merchant_id="mer_2")).json()["data"]["items"] == []
    assert (await staff.decide(ids.encode("pay", ids.new()))).status_code == 404
    assert (await staff.decide("pay_nonsense")).status_code == 400
    assert await published(staff.db, "fraud.decided") == []


@pytest.mark.parametrize("refusal", ["rights_outdated", "step_up_required", "second_factor_missing", "a later one"])
async def test_a_decision_needs_rights_that_hold_now(staff: Staff, identity: Identity, refusal: str) -> None:
    payment_id = await staff.flag()
    identity.refusal = refusal
    identity.dismissed.add("usr_staff")
    refused = await staff.decide(payment_id)
    assert (refused.status_code, refused.json()["error"]["code"]) == (
        403,
        "rights_outdated" if refusal == "a later one" else refusal,
    )
    identity.away = True
    unknown = await staff.decide(payment_id, user_id="usr_other")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "callee_unavailable")
    assert await published(staff.db, "fraud.decided") == []


@pytest.mark.parametrize("reason", ["", "ab", "   ", "a\0b c", "x" * 501, "line\nline"])
async def test_a_decision_has_a_reason(staff: Staff, reason: str) -> None:
    payment_id = await staff.flag()
    assert (await staff.decide(payment_id, reason=reason)).status_code == 400


async def test_pages_of_reviews(staff: Staff) -> None:
    flagged = {await staff.flag() for _ in range(5)}
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await staff.list(limit=2, **cursor)).json()["data"]
        seen += [item["paymentId"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == sorted(flagged, reverse=True)
    assert (await staff.list(cursor="nonsense")).status_code == 400


async def test_a_payment_flagged_before_reviews_were_kept_can_be_decided(staff: Staff) -> None:
    payment_id = await staff.flag()
    async with staff.db.begin() as tx:
        await tx.execute("delete from reviews")
    assert (await staff.decide(payment_id)).status_code == 200
    assert len(await published(staff.db, "fraud.decided")) == 1


async def test_the_database_keeps_verdicts_whole(staff: Staff) -> None:
    payment_id = ids.decode("pay", await staff.flag())
    for change in ("verdict = 'ALLOW'", "verdict = 'MAYBE', decided_at = now(), actor_id = 'a', reason = 'why'"):
        with pytest.raises(PostgresError, match="check constraint"):
            async with staff.db.begin() as tx:
                await tx.execute(f"update reviews set {change} where payment_id = :id", id=payment_id)


class QueueDecision:
    """A person decides about a flagged payment in payment's review queue."""

    def __init__(self, staff: Staff, payment_id: str) -> None:
        self.staff, self.payment_id = staff, payment_id

    async def take(self, action: str, *, seconds: int, actor_id: str = "usr_finance") -> None:
        now = self.staff.fraud.resources.clock.now()
        event = pb.PaymentReviewDecided(
            payment=Payment(payment_id=self.payment_id, merchant_id="mer_1"),
            time_unix_micros=micros(now + timedelta(seconds=seconds)),
            action=action,
            actor_id=actor_id,
        )
        await self.staff.fraud.handle(consumers.QUEUE, [event, event])


@pytest.mark.parametrize(("action", "verdict", "other"), [("FULFIL", "ALLOW", "BLOCK"), ("REFUNDED", "BLOCK", "ALLOW")])
async def test_a_decision_in_payments_queue_closes_the_review(
    staff: Staff, action: str, verdict: str, other: str
) -> None:
    payment_id = await staff.flag()
    await QueueDecision(staff, payment_id).take(action, seconds=0)
    assert (await staff.list()).json()["data"]["items"] == []
    [item] = (await staff.list(status="DECIDED")).json()["data"]["items"]
    assert (item["verdict"], item["decidedBy"], item["reason"]) == (
        verdict,
        "usr_finance",
        f"{action} in payment's review queue",
    )
    refused = await staff.decide(payment_id, other)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "review_decided")
    assert await published(staff.db, "fraud.decided") == [], "payment has carried it out"
    [(_, audit)] = await published(staff.db, "audit.recorded")
    assert (audit.action, audit.actor_id) == ("fraud.review.follow", "usr_finance")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seconds", "verdict"), [(60, "ALLOW"), (-60, "BLOCK")])
async def test_of_a_verdict_and_a_decision_in_payments_queue_the_later_one_stands(
    staff: Staff, seconds: int, verdict: str
) -> None:
    """Whichever event is handled first."""
    payment_id = await staff.flag()
    assert (await staff.decide(payment_id, "BLOCK")).status_code == 200
    await QueueDecision(staff, payment_id).take("FULFIL", seconds=seconds)
    [item] = (await staff.list(status="DECIDED")).json()["data"]["items"]
    assert item["verdict"] == verdict


async def test_a_decision_that_is_none_or_about_no_review_closes_nothing(staff: Staff) -> None:
    payment_id = await staff.flag()
    await QueueDecision(staff, payment_id).take("MAYBE", seconds=0)
    await QueueDecision(staff, payment_id).take("FULFIL", seconds=0, actor_id="")
    await QueueDecision(staff, ids.encode("pay", ids.new())).take("FULFIL", seconds=0)
    [item] = (await staff.list()).json()["data"]["items"]
    assert item["paymentId"] == payment_id
