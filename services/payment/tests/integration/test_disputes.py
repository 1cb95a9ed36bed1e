"""Disputes: read at the gateway, their credits held before anybody hears of them, won or lost once."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from commdesk.payment.v1 import disputes_pb2 as pb
from commdesk.payment.v1.disputes_pb2_grpc import DisputeServiceStub

from .world import World

DISPUTES = "/api/v1/disputes"


async def paid(world: World) -> dict[str, Any]:
    made = await world.created()
    await world.pay(made["orderId"])
    await world.deliver(*world.hooks)
    world.hooks.clear()
    return made


async def dispute(world: World, made: dict[str, Any], **command: Any) -> str:
    """Dispute the payment and hand its webhook to the queue."""
    before = len(world.hooks)
    response = await world.sandbox.post(f"/control/orders/{made['orderId']}/disputes", json=command)
    assert response.status_code == 201, response.text
    await world.hooks_arrive(before + 1)
    await world.deliver(*world.hooks[before:])
    return str(response.json()["dispute_id"])


async def move(world: World, dispute_id: str, **command: Any) -> None:
    before = len(world.hooks)
    response = await world.sandbox.post(f"/control/disputes/{dispute_id}", json=command)
    assert response.status_code == 200, response.text
    await world.hooks_arrive(before + 1)
    await world.deliver(*world.hooks[before:])


async def work(world: World) -> None:
    """Read what is due, and carry out the holds."""
    await world.run_job("dispute_checks")
    await world.run_intents()


async def announced(world: World) -> list[str]:
    keys = ("payment.disputed", "payment.dispute.won", "payment.dispute.lost")
    return [key for key in keys for _ in await world.announced(key)]


def held_by(world: World) -> str:
    """The one hold that the wallet made."""
    [hold] = world.wallet.holds.values()
    return hold.hold_id


async def alerts(world: World) -> list[str]:
    return [each.cause for each in await world.announced("email.admin.alert")]


async def test_a_dispute_is_announced_once_its_credits_are_held(world: World) -> None:
    made = await paid(world)
    gateway_id = await dispute(world, made)
    await world.run_job("dispute_checks")
    assert await world.status(made) == "DISPUTED"
    assert await announced(world) == []
    await world.run_intents()
    [event] = await world.announced("payment.disputed")
    [hold] = world.wallet.requests
    assert hold.operation_key == f"dispute:{event.dispute.dispute_id}"
    assert (hold.credits_paid, hold.credits_bonus, hold.payment_id) == (5_000, 500, made["paymentId"])
    assert (event.dispute.gateway_dispute_id, event.dispute.amount.minor) == (gateway_id, 50_000)
    assert (event.dispute.hold_id, event.dispute.value_held) == (held_by(world), 40_000)
    assert event.dispute.tax.cgst.minor == event.dispute.tax.sgst.minor == 3_813
    assert event.dispute.respond_by_unix_micros > 0
    assert await alerts(world) == ["dispute_arrived"]
    # Whatever comes again: nothing is new.
    await world.deliver(*world.hooks)
    await work(world)
    assert await announced(world) == ["payment.disputed"]


@pytest.mark.parametrize(
    ("step", "key", "status"),
    [("WON", "payment.dispute.won", "SUCCESS"), ("LOST", "payment.dispute.lost", "REFUNDED")],
)
async def test_a_dispute_ends(world: World, step: str, key: str, status: str) -> None:
    made = await paid(world)
    gateway_id = await dispute(world, made)
    await work(world)
    await move(world, gateway_id, step="UNDER_REVIEW")
    await work(world)
    await move(world, gateway_id, step=step)
    await work(world)
    assert await announced(world) == ["payment.disputed", key]
    [event] = await world.announced(key)
    assert event.dispute.hold_id == held_by(world)
    assert await world.status(made) == status
    rows = await world.rows("select to_status from dispute_history order by seq")
    assert [row.to_status for row in rows] == ["OPEN", "UNDER_REVIEW", step]
    assert await world.rows("select 1 from dispute_checks") == []


async def test_a_payment_that_settles_under_dispute_is_settled_once_it_is_won(world: World) -> None:
    made = await paid(world)
    gateway_id = await dispute(world, made)
    await work(world)
    settlement = await world.sandbox.post("/control/settlements", json={})
    assert settlement.status_code == 201, settlement.text
    await world.run_job("settlement_imports")
    assert await world.status(made) == "DISPUTED"
    await move(world, gateway_id, step="WON")
    await work(world)
    assert await world.status(made) == "SETTLED"
    # All of it is in the payment's story.
    entries = (await world.timeline(made["paymentId"])).entries
    summaries = [each.summary for each in entries if each.kind in ("dispute", "settlement")]
    assert [each for each in summaries if each.endswith("nothing → OPEN")] and "OPEN → WON" in " ".join(summaries)
    assert any("payment of 500.00 INR in a settlement that is SETTLED" in each for each in summaries), summaries
    [dispute_id] = [each for each in (await world.timeline(made["orderId"])).references if each.startswith("dsp_")]
    assert len((await world.timeline(dispute_id)).entries) == len(entries)


async def test_a_dispute_whose_credits_cannot_be_held_is_told(world: World) -> None:
    made = await paid(world)
    world.wallet.is_away = True
    await dispute(world, made)
    await work(world)
    assert await world.run_job("overdue_holds") == 0
    world.clock.advance(3_700)
    assert await world.run_job("overdue_holds") == 1
    assert await world.run_job("overdue_holds") == 0
    [alert] = [each for each in await world.announced("email.admin.alert") if each.cause == "hold_overdue"]
    assert alert.fields["paymentId"] == made["paymentId"] and alert.fields["waiting"].startswith("dsp_")
    world.clock.advance(86_500)
    assert await world.run_job("overdue_holds") == 1
    world.wallet.is_away = False
    await world.run_intents()
    world.clock.advance(86_500)
    assert await world.run_job("overdue_holds") == 0


async def test_an_end_that_comes_before_the_hold_waits_for_it(world: World) -> None:
    made = await paid(world)
    gateway_id = await dispute(world, made)
    await world.run_job("dispute_checks")
    await move(world, gateway_id, step="LOST")
    await world.run_job("dispute_checks")
    assert await announced(world) == []
    assert await world.status(made) == "DISPUTED"
    await world.run_intents()
    assert await announced(world) == ["payment.disputed", "payment.dispute.lost"]
    assert await world.status(made) == "REFUNDED"


async def test_a_payment_whose_grant_is_on_its_way_is_held_later(world: World) -> None:
    made = await paid(world)
    await dispute(world, made)
    world.wallet.refusal = "wallet_grant_pending"
    await work(world)
    assert await announced(world) == []
    world.wallet.refusal = ""
    await world.run_intents()
    assert await announced(world) == ["payment.disputed"]


async def test_part_of_a_payment_is_disputed(world: World) -> None:
    made = await paid(world)
    gateway_id = await dispute(world, made, amount_paise=12_345)
    await work(world)
    [hold] = world.wallet.requests
    assert (hold.credits_paid, hold.credits_bonus) == (1_234, 123)
    await move(world, gateway_id, step="LOST")
    await work(world)
    assert await world.status(made) == "PARTIALLY_REFUNDED"


async def test_a_gateway_that_does_not_answer_is_asked_again(world: World) -> None:
    made = await paid(world)
    await world.fault(operation="get_disputes", action="error", status=500, count=1)
    await dispute(world, made)
    await work(world)
    assert await world.rows("select 1 from disputes") == []
    world.clock.advance(61)
    await work(world)
    assert await announced(world) == ["payment.disputed"]


async def test_an_end_whose_webhook_was_lost_is_seen(world: World) -> None:
    made = await paid(world)
    gateway_id = await dispute(world, made)
    await work(world)
    await world.sandbox.post(f"/control/disputes/{gateway_id}", json={"step": "WON"})
    await work(world)
    assert await announced(world) == ["payment.disputed"]
    world.clock.advance(6 * 3600 + 1)
    await work(world)
    assert await announced(world) == ["payment.disputed", "payment.dispute.won"]


async def test_many_checks_at_once_make_one_dispute(world: World) -> None:
    made = await paid(world)
    await dispute(world, made)
    await asyncio.gather(*(world.run_job("dispute_checks") for _ in range(6)))
    await asyncio.gather(*(world.run_intents() for _ in range(3)))
    assert await announced(world) == ["payment.disputed"]
    assert len(await world.rows("select 1 from disputes")) == 1


async def test_what_was_won_may_be_disputed_again_at_the_next_stage(world: World) -> None:
    made = await paid(world)
    gateway_id = await dispute(world, made)
    await work(world)
    await move(world, gateway_id, step="WON")
    await work(world)
    await move(world, gateway_id, stage="PRE_ARBITRATION", step="CREATED")
    await work(world)
    assert await announced(world) == ["payment.disputed"] * 2 + ["payment.dispute.won"]
    assert len(world.wallet.holds) == 2
    assert await world.status(made) == "DISPUTED"


async def test_nobody_answers_and_one_alert_comes_a_day_before_the_deadline(world: World) -> None:
    made = await paid(world)
    await dispute(world, made, respond_in_seconds=2 * 86_400)
    await work(world)
    assert await alerts(world) == ["dispute_arrived"]
    world.clock.advance(86_400 + 60)
    for _ in range(3):
        await world.run_job("dispute_checks")
    assert await alerts(world) == ["dispute_arrived", "dispute_deadline"]


async def test_a_dispute_of_another_capture_is_for_a_person(world: World) -> None:
    made = await paid(world)
    async with world.db.begin() as tx:
        await tx.execute("update payments set gateway_payment_id = 'another'")
    await dispute(world, made)
    await work(world)
    assert await alerts(world) == ["dispute_mismatch"]
    assert await world.status(made) == "SUCCESS"


async def test_a_dispute_of_an_order_that_is_not_known_waits(world: World) -> None:
    made = await paid(world)
    before = len(world.hooks)
    await world.sandbox.post(f"/control/orders/{made['orderId']}/disputes", json={})
    await world.hooks_arrive(before + 1)
    unknown = world.hooks[before].replace(made["orderId"].encode(), b"nobody-knows-it")
    await world.deliver(unknown)
    [processing] = await world.announced("webhook.cashfree.processing")
    assert processing.reason == "order_not_known_yet"


async def test_staff_see_disputes_and_note_evidence_once(world: World) -> None:
    made = await paid(world)
    await dispute(world, made)
    await work(world)
    finance = world.auth("usr_finance", "FINANCE")
    [listed] = (await world.http.get(f"{DISPUTES}?status=OPEN", headers=finance)).json()["data"]["items"]
    assert (listed["paymentId"], listed["amount"], listed["isHeld"]) == (made["paymentId"], 50_000, True)
    assert datetime.fromisoformat(listed["respondBy"]) > datetime.now(UTC)
    one = f"{DISPUTES}/{listed['disputeId']}"
    body = {"note": "the customer used the credits", "fileReference": "s3://evidence/usage.pdf"}
    for _ in range(2):
        answer = await world.http.post(f"{one}/evidence", json=body, headers=finance)
        assert answer.status_code == 200, answer.text
    [note] = answer.json()["data"]["evidence"]
    assert (note["note"], note["fileReference"], note["actor"]) == (*body.values(), "usr_finance")
    audits = [each for each in await world.announced("audit.recorded") if each.action == "dispute.add_evidence"]
    assert [(each.before_json, each.actor_id) for each in audits] == [('{"evidence":0}', "usr_finance")]
    assert (await world.http.get(one, headers=world.auth("usr_s", "SUPPORT"))).json()["data"]["evidence"] == [note]
    assert (await world.http.get(DISPUTES, headers=world.auth())).status_code == 403
    assert (
        await world.http.post(f"{one}/evidence", json=body, headers=world.auth("usr_s", "SUPPORT"))
    ).status_code == 403
    assert (await world.http.post(f"{one}/evidence", json={"note": "x"}, headers=finance)).status_code == 400
    others = world.auth("usr_other", "FINANCE", merchant="mer_other")
    assert (await world.http.get(one, headers=others)).status_code == 404
    assert (await world.http.post(f"{one}/evidence", json=body, headers=others)).status_code == 404
    world.identity.dismissed.add("usr_finance")
    assert (await world.http.post(f"{one}/evidence", json=body, headers=finance)).status_code == 403


async def test_operators_list_disputes_and_note_evidence(world: World) -> None:
    made = [await paid(world) for _ in range(2)]
    for each in made:
        await dispute(world, each)
    await work(world)
    stub = DisputeServiceStub(world.channel())  # type: ignore[no-untyped-call]
    first = await stub.ListDisputes(pb.ListDisputesRequest(limit=1), timeout=10)
    rest = await stub.ListDisputes(pb.ListDisputesRequest(limit=1, cursor=first.next_cursor), timeout=10)
    assert rest.next_cursor == ""
    assert {each.dispute.payment_id for each in (*first.disputes, *rest.disputes)} == {
        each["paymentId"] for each in made
    }
    of_payment = await stub.ListDisputes(pb.ListDisputesRequest(payment_ids=[made[0]["paymentId"]]), timeout=10)
    [record] = of_payment.disputes
    assert record.is_held
    request = pb.AddDisputeEvidenceRequest(
        dispute_id=record.dispute.dispute_id, note="usage log", file_reference="usage.pdf", actor="operator:asha"
    )
    noted = await stub.AddDisputeEvidence(request, timeout=10)
    assert [each.actor for each in noted.dispute.evidence] == ["operator:asha"]
