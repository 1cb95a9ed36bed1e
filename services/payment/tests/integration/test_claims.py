"""A webhook is a claim: the gateway's own answers are booked, whatever is signed; nobody's claim stops the search."""

import json
from typing import Any

import pytest

from .world import World


def altered(body: bytes, **payment: Any) -> bytes:
    """The same webhook with other fields of its payment, as a holder of the secret can sign it."""
    webhook = json.loads(body)
    webhook["data"]["payment"] |= payment
    return json.dumps(webhook).encode()


async def captures(world: World) -> list[tuple[str, str, int, bool]]:
    rows = await world.rows("select * from transactions order by status, provider_transaction_id")
    return [(row.provider_transaction_id, row.status, row.amount_minor, row.confirmed_at is not None) for row in rows]


async def true_attempt(world: World) -> str:
    return str(json.loads(world.hooks[0])["data"]["payment"]["cf_payment_id"])


async def test_a_ghost_is_corrected_and_never_doubled(world: World) -> None:
    """F15: another payment id, signed first; then the true webhook; then thirty more ghosts."""
    data = await world.created()
    await world.pay(data["orderId"])
    true = await true_attempt(world)
    await world.deliver(altered(world.hooks[0], cf_payment_id="900001"))
    assert await captures(world) == [("900001", "CAPTURED", 50_000, False)]
    await world.deliver(*world.hooks)
    assert await world.run_syncs() == 1
    assert await captures(world) == [(true, "CAPTURED", 50_000, True)]
    [attempt] = await world.rows("select gateway_payment_id, status, confirmed_at from payment_attempts")
    assert (attempt.gateway_payment_id, attempt.status, attempt.confirmed_at is not None) == (true, "SUCCESS", True)
    [payment] = await world.rows("select gateway_payment_id from payments")
    assert payment.gateway_payment_id == true
    ghosts = [altered(world.hooks[0], cf_payment_id=str(number)) for number in range(900_002, 900_032)]
    # Many payers at once are read at once; one more is read by command.
    await world.deliver(*ghosts)
    assert await world.run_syncs() == 0
    await world.deliver(altered(world.hooks[0], cf_payment_id="900099"))
    assert await world.run_syncs() == 1
    assert await captures(world) == [(true, "CAPTURED", 50_000, True)]
    assert len(await world.announced("payment.success")) == 1
    assert await world.announced("email.admin.alert") == []
    corrected = [line for line in await world.announced("audit.recorded") if line.action == "payment.correct_capture"]
    assert len(corrected) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"payment_amount": 9_999_999}, {"payment_amount": 1}, {"payment_currency": "USD"}, {"payment_amount": 499.99}],
    ids=str,
)
@pytest.mark.parametrize("paid_before", [False, True])
async def test_amounts_that_contradict_the_order_are_read_from_the_gateway(
    world: World, wrong: dict[str, Any], paid_before: bool
) -> None:
    """F15 and F16: the gateway's list decides, the customer gets the credits, a granted payment stays as it is."""
    data = await world.created()
    await world.pay(data["orderId"])
    if paid_before:
        await world.deliver(*world.hooks)
    await world.deliver(altered(world.hooks[0], **wrong))
    await world.run_syncs()
    assert await world.status(data) == "SUCCESS"
    assert await captures(world) == [(await true_attempt(world), "CAPTURED", 50_000, True)]
    [row] = await world.rows("select review, next_check_at from payments")
    assert tuple(row) == ("NONE", None)
    assert len(await world.announced("payment.success")) == 1
    assert await world.announced("email.admin.alert") == []


async def test_a_claim_never_stops_the_search(world: World) -> None:
    """A success of any amount is signed for an order that is not paid: nothing happens, and money is found later."""
    data = await world.created()
    other = await world.created()
    await world.pay(other["orderId"])
    order = {"order_id": data["orderId"], "order_amount": 500.00, "order_currency": "INR"}
    forged = json.loads(world.hooks[0])
    forged["data"]["order"] |= order
    for payment in ({"payment_amount": 500.00}, {"payment_amount": 1.00}):
        forged["data"]["payment"] |= payment | {"cf_payment_id": "900001"}
        await world.deliver(json.dumps(forged).encode())
    assert await world.status(data) == "PENDING"
    assert await captures(world) == []
    reasons = [each.reason for each in await world.announced("webhook.cashfree.processed")]
    assert reasons == ["not_confirmed"] * 2
    assert await world.announced("email.admin.alert") == []
    [row] = await world.rows(
        "select review, next_check_at from payments where order_id = :order_id", order_id=data["orderId"]
    )
    assert row.review == "NONE"
    assert 0 < (row.next_check_at - world.clock.now()).total_seconds() <= 30
    await world.pay_unnoticed(data["orderId"])
    world.clock.advance(31)
    await world.sweep()
    assert await world.status(data) == "SUCCESS"


async def test_the_attempt_of_another_payment_is_nobodys_way_to_block_it(world: World) -> None:
    """Two paid orders; the first one's webhook names the attempt of the second."""
    first, second = await world.created(), await world.created()
    for data in (first, second):
        await world.pay(data["orderId"])
    attempts = [str(json.loads(body)["data"]["payment"]["cf_payment_id"]) for body in world.hooks]
    await world.deliver(altered(world.hooks[0], cf_payment_id=attempts[1]))
    await world.deliver(world.hooks[1])
    assert [await world.status(data) for data in (first, second)] == ["SUCCESS", "SUCCESS"]
    await world.deliver(world.hooks[0])
    await world.run_syncs()
    world.clock.advance(86_401)
    # The one that was corrected is looked at once more, the other one for the first time.
    assert await world.run_job("confirmations") == 2
    rows = await world.rows(
        "select p.order_id, t.provider_transaction_id, t.confirmed_at from transactions t"
        " join payments p on p.id = t.payment_id"
    )
    assert {row.order_id: row.provider_transaction_id for row in rows} == {
        first["orderId"]: attempts[0],
        second["orderId"]: attempts[1],
    }
    assert all(row.confirmed_at is not None for row in rows)
    # One look more is enough, whatever the list said: it costs the gateway's scarcest quota.
    assert await world.rows("select 1 from transactions where confirmation_due_at is not null") == []
    world.clock.advance(86_401)
    assert await world.run_job("confirmations") == 0


async def test_captures_are_confirmed_after_a_day_a_few_at_a_time(world: World) -> None:
    made = [await world.created() for _ in range(7)]
    for data in made:
        await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    assert await world.run_job("confirmations") == 0
    world.clock.advance(86_401)
    await world.fault(operation="get_payments", action="error", status=500, count=1)
    # 20 a minute are 5 a turn of 15 s; what was not answered is due again later.
    assert [await world.run_job("confirmations") for _ in range(3)] == [5, 2, 0]
    unconfirmed = "select 1 from transactions where confirmed_at is null"
    assert len(await world.rows(unconfirmed)) == 1
    world.clock.advance(6 * 3600 + 1)
    assert await world.run_job("confirmations") == 1
    assert await world.rows(unconfirmed) == []
    assert await world.announced("email.admin.alert") == []


async def test_webhooks_that_nobody_handles_raise_one_alert_per_type_and_day(world: World) -> None:
    """F4: fees, a vendor's settlement, a subscription, something new; each raises one alert."""
    types = ["PAYMENT_CHARGES_WEBHOOK", "VENDOR_SETTLEMENT_SUCCESS", "SUBSCRIPTION_STATUS_CHANGED", "SOMETHING_NEW"]
    bodies = [json.dumps({"type": name, "data": {"n": number}}).encode() for name in types for number in range(3)]
    await world.deliver(*bodies)
    await world.deliver(*bodies)
    processed = await world.announced("webhook.cashfree.processed")
    assert {(each.outcome, each.reason) for each in processed} == {("PARKED", "unsupported_type")}
    alerts = await world.announced("email.admin.alert")
    assert sorted(alert.fields["type"] for alert in alerts) == sorted(types)
    assert {alert.cause for alert in alerts} == {"webhook_unhandled"}
    assert all("dashboard" in alert.summary or "compare" in alert.summary for alert in alerts)
    world.clock.advance(86_401)
    await world.deliver(bodies[0])
    assert len(await world.announced("email.admin.alert")) == len(types) + 1


async def test_a_flood_of_invented_types_is_bounded(world: World) -> None:
    bodies = [json.dumps({"type": f"INVENTED_{number}", "data": {}}).encode() for number in range(150)]
    await world.deliver(*bodies[:75])
    await world.deliver(*bodies[75:])
    alerts = await world.announced("email.admin.alert")
    assert len(alerts) == 101
    assert sum(alert.fields["type"] == "OTHER" for alert in alerts) == 1
