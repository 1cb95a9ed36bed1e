"""Closed is not final at the gateway (F3): money that comes late is found without a webhook. Verify is spaced (M6)."""

import asyncio
from typing import Any

import httpx
import pytest

from common.settings import read as read_settings
from payment.settings import Settings

from .world import World


async def closed(world: World, how: str) -> dict[str, Any]:
    """A payment that ended unpaid, and of whose late money no webhook will tell."""
    data = await world.created()
    await world.fault(action="drop", operation="webhook", order_id=data["orderId"])
    if how == "CANCELLED":
        await world.cancel(data)
    else:
        if how == "FAILED":
            await world.sandbox.post(
                f"/control/orders/{data['orderId']}/pay", json={"outcome": "failure", "wait": True}
            )
            await world.verify(paymentId=data["paymentId"])
        await world.sandbox.post(f"/control/orders/{data['orderId']}/expire")
        world.clock.advance(120)
        await world.sweep()
    assert await world.status(data) == how
    return data


async def pay_late(world: World, data: dict[str, Any]) -> None:
    response = await world.sandbox.post(
        f"/control/orders/{data['orderId']}/pay", json={"outcome": "success", "force": True}
    )
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("how", ["FAILED", "EXPIRED", "CANCELLED"])
async def test_verify_asks_about_closed_payments(world: World, how: str) -> None:
    data = await closed(world, how)
    await pay_late(world, data)
    answer = (await world.verify(paymentId=data["paymentId"])).json()["data"]
    assert answer["payment"]["status"] == "SUCCESS"
    [line] = await world.rows("select from_status, reason from payment_history where to_status = 'SUCCESS'")
    assert tuple(line) == (how, "late_success")
    assert len(await world.announced("payment.success")) == 1


@pytest.mark.parametrize("how", ["FAILED", "EXPIRED", "CANCELLED"])
async def test_closed_payments_are_looked_at_ever_more_rarely_until_the_money_is_there(world: World, how: str) -> None:
    data = await closed(world, how)
    waits = []
    for _ in range(8):
        [row] = await world.rows("select due_at from closed_checks")
        waits.append(round((row.due_at - world.clock.now()).total_seconds()))
        world.clock.advance(waits[-1] + 0.5)
        assert await world.run_job("closed_checks") == 1
    assert waits == [60, 300, 1800, 7200, 28_800, 86_400, 86_400, 86_400]
    assert await world.sweep() == 0
    await pay_late(world, data)
    world.clock.advance(86_401)
    assert await world.run_job("closed_checks") == 1
    assert await world.status(data) == "SUCCESS"
    world.clock.advance(86_401)
    assert await world.run_job("closed_checks") == 0
    assert await world.rows("select 1 from closed_checks") == []


async def test_a_closed_payment_is_forgotten_after_the_gateways_window(world: World) -> None:
    await closed(world, "EXPIRED")
    world.clock.advance(31 * 86_400)
    assert await world.run_job("closed_checks") == 0
    assert await world.rows("select 1 from closed_checks") == []


async def test_a_quarantined_payment_is_looked_at_on_and_released_by_the_gateway(world: World) -> None:
    data = await world.created()
    await world.fault(operation="get_order", action="wrong_amount", amount_paise=100, order_id=data["orderId"], count=1)
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    [row] = await world.rows("select review, next_check_at from payments")
    assert tuple(row) == ("QUARANTINED", None)
    world.clock.advance(61)
    assert await world.run_job("closed_checks") == 1
    assert await world.status(data) == "SUCCESS"
    [row] = await world.rows("select review from payments")
    assert row.review == "NONE"


async def test_a_gateway_that_is_down_costs_no_check(world: World) -> None:
    data = await closed(world, "EXPIRED")
    await pay_late(world, data)
    await world.fault(operation="get_order", action="error", status=500, count=1)
    world.clock.advance(61)
    await world.run_job("closed_checks")
    [row] = await world.rows("select checks, due_at from closed_checks")
    assert (row.checks, (row.due_at - world.clock.now()).total_seconds()) == (0, 300)
    world.clock.advance(301)
    await world.run_job("closed_checks")
    assert await world.status(data) == "SUCCESS"


async def test_closed_payments_do_not_hold_up_unresolved_ones(world: World) -> None:
    """A backlog of closed payments, all of them due, and one payment whose webhook was lost."""
    for _ in range(12):
        await closed(world, "EXPIRED")
    data = await world.created()
    await world.fault(action="drop", operation="webhook", order_id=data["orderId"])
    await world.pay_unnoticed(data["orderId"])
    world.clock.advance(86_400)
    assert await world.sweep() == 1
    assert await world.status(data) == "SUCCESS"
    # 60 a minute are 5 a turn of 5 s.
    assert await world.run_job("closed_checks") == 5


async def test_an_order_that_the_gateway_refused_is_not_looked_up(world: World) -> None:
    await world.fault(action="error", operation="create_order", status=400, count=1)
    await world.create()
    assert await world.rows("select 1 from closed_checks") == []


# ── Verify ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def calls(world: World) -> list[str]:
    await world.write_gateway_calls()
    rows = await world.rows("select operation from gateway_calls where operation <> 'create_order'")
    return [row.operation for row in rows]


@pytest.mark.parametrize("first", ["announced", "listed"])
@pytest.mark.parametrize("second", ["verify", "daily look"])
async def test_a_second_capture_without_a_webhook_is_found(world: World, first: str, second: str) -> None:
    data = await world.created()
    if first == "announced":
        await world.pay(data["orderId"])
        await world.deliver(*world.hooks)
    await world.fault(action="drop", operation="webhook", order_id=data["orderId"])
    if first == "listed":
        await pay_late(world, data)
        await world.verify(paymentId=data["paymentId"])
    assert await world.status(data) == "SUCCESS"
    await pay_late(world, data)
    if second == "verify":
        world.clock.advance(61)
        assert (await world.verify(paymentId=data["paymentId"])).json()["data"]["payment"]["status"] == "SUCCESS"
    else:
        world.clock.advance(86_401)
        assert await world.run_job("confirmations") == 1
    assert len(await world.announced("payment.received")) == 1
    assert len(await world.announced("payment.success")) == 1
    world.clock.advance(86_401)
    await world.run_job("confirmations")
    # One look at each capture is all: lists are the gateway's scarcest quota.
    world.clock.advance(86_401)
    assert await world.run_job("confirmations") == 0


async def test_what_has_just_been_paid_is_not_looked_up(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    before = await calls(world)
    for _ in range(3):
        assert (await world.verify(paymentId=data["paymentId"])).json()["data"]["payment"]["status"] == "SUCCESS"
    assert await calls(world) == before


class TestSpaced:
    """As it is set in production."""

    @pytest.fixture
    def settings(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setenv("VERIFY_INTERVAL_SECONDS", "2")
        monkeypatch.setenv("VERIFICATIONS_PER_MINUTE", "3")
        return read_settings(Settings)

    async def test_sixty_verifies_at_once_are_one_look_up(self, world: World) -> None:
        data = await world.created()
        await world.fault(operation="get_order", action="delay", delay_ms=200)
        responses: list[httpx.Response] = await asyncio.gather(
            *(world.verify(paymentId=data["paymentId"]) for _ in range(60))
        )
        assert {response.status_code for response in responses} == {200}
        assert sorted(await calls(world)) == ["read_attempts", "read_order"]

    async def test_one_payment_is_looked_up_every_two_seconds_at_most(self, world: World) -> None:
        data = await world.created()
        for _ in range(60):
            assert (await world.verify(paymentId=data["paymentId"])).status_code == 200
        assert sorted(await calls(world)) == ["read_attempts", "read_order"]
        await world.pay_unnoticed(data["orderId"])
        world.clock.advance(2)
        await world.forget_responses()
        await world.verify(paymentId=data["paymentId"])
        assert await world.status(data) == "SUCCESS"

    async def test_one_user_has_a_limit_and_hears_when_it_is_over(self, world: World) -> None:
        made = [await world.created() for _ in range(4)]
        for data in made[:3]:
            assert (await world.verify(paymentId=data["paymentId"])).status_code == 200
        refused = await world.verify(paymentId=made[3]["paymentId"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "verification_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 21
        # Somebody else has a limit of their own.
        other = await world.created(user="usr_ravi")
        assert (await world.verify("usr_ravi", paymentId=other["paymentId"])).status_code == 200
        world.clock.advance(int(refused.headers["retry-after"]) + 1)
        assert (await world.verify(paymentId=made[3]["paymentId"])).status_code == 200
