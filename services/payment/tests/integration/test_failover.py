"""Two gateway accounts: new payments pass one over that fails, and no order is made twice."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
import pytest_asyncio

from common import ids
from common.settings import read as read_settings
from gateways import GatewayAccount
from gateways.testing import simulator
from payment.domain.purchases import initial_transition
from payment.domain.states import Status
from payment.settings import Settings
from payment.store import commands
from payment.store import routing as store

from ..builders import Builders
from .world import APP_ID, SECRET, World

A, B = "gwa_cashfree", "gwa_b"


class TwoAccounts(Settings):
    """A second account, at a gateway of its own."""

    url_of_b: ClassVar[str] = ""

    @property
    def gateway_accounts(self) -> tuple[GatewayAccount, ...]:
        [first] = super().gateway_accounts
        return (first, msgspec.structs.replace(first, id=B, base_url=self.url_of_b))


@pytest.fixture(scope="session")
def url_of_b() -> Iterator[str]:
    account = {"CASHFREE_APP_ID": APP_ID, "CASHFREE_SECRET_KEY": SECRET}
    with simulator(account | {"SANDBOX_WEBHOOK_RETRY_MS": "200"}) as url:
        yield url


@pytest.fixture
def settings(settings: Settings, url_of_b: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CIRCUIT_FAILURES", "2")
    monkeypatch.setattr(TwoAccounts, "url_of_b", f"{url_of_b}/pg")
    return read_settings(TwoAccounts)


@pytest_asyncio.fixture
async def gateway_b(url_of_b: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url_of_b) as client:
        await client.post("/control/reset", json={})
        yield client


async def account_of(world: World, order_id: str) -> str:
    [row] = await world.rows("select gateway_account_id from payments where order_id = :order_id", order_id=order_id)
    return str(row.gateway_account_id)


async def history_of(world: World, order_id: str) -> list[tuple[str | None, str, str]]:
    rows = await world.rows(
        "select h.from_status, h.to_status, h.reason from payment_history h join payments p on p.id = h.payment_id "
        "where p.order_id = :order_id order by h.seq",
        order_id=order_id,
    )
    return [(row.from_status, row.to_status, row.reason) for row in rows]


async def decisions_of(world: World, order_id: str) -> list[tuple[str, str, dict[str, str]]]:
    async with world.db.begin() as tx:
        [row] = (await tx.execute("select id from payments where order_id = :id", id=order_id)).all()
        decisions = await store.decisions_of(tx, row.id)
    return [(each.gateway_account_id, each.reason.value, dict(each.others)) for each in decisions]


async def orders(client: httpx.AsyncClient, *order_ids: str) -> list[str]:
    """Those of *order_ids* that the gateway has."""
    headers = {"x-client-id": APP_ID, "x-client-secret": SECRET, "x-api-version": "2025-01-01"}
    answers = [(each, await client.get(f"/pg/orders/{each}", headers=headers)) for each in order_ids]
    return [order_id for order_id, answer in answers if answer.status_code == 200]


async def recover(world: World) -> None:
    assert (await world.sandbox.delete("/control/faults")).is_success


async def unknown(world: World, order_id: str) -> None:
    response = await world.create(orderId=order_id)
    assert response.json()["error"]["code"] == "payment_unresolved", response.text


async def open_circuit(world: World, **fault: Any) -> None:
    """Two payments whose orders A did not confirm."""
    await world.fault(operation="create_order", **{"action": "error", "status": 503} | fault)
    await unknown(world, "wait-1")
    await unknown(world, "wait-2")


async def test_while_a_fails_new_payments_go_to_b_and_back_afterwards(
    world: World, gateway_b: httpx.AsyncClient
) -> None:
    await world.created(orderId="before")
    await open_circuit(world)
    await world.created(orderId="during-1")
    await world.run_intents()
    await world.created(orderId="during-2")
    # What is unknown waits for its gateway, which recovers.
    assert [await account_of(world, each) for each in ("wait-1", "wait-2")] == [A, A]
    await recover(world)
    await world.run_intents()
    await world.created(orderId="after")
    made = ["before", "wait-1", "wait-2", "during-1", "during-2", "after"]
    assert await orders(world.sandbox, *made) == ["before", "wait-1", "wait-2", "after"]
    assert await orders(gateway_b, *made) == ["during-1", "during-2"]
    assert [await account_of(world, each) for each in made] == [A, A, A, B, B, A]
    assert {row.status for row in await world.rows("select status from payments")} == {"PENDING"}
    # The decision log tells why.
    assert await decisions_of(world, "before") == [(A, "default", {B: "not_chosen"})]
    assert await decisions_of(world, "during-1") == [(B, "default", {A: "calls_fail"})]
    assert await decisions_of(world, "after") == [(A, "default", {B: "not_chosen"})]
    # Staff see it with the payment, customers do not.
    [row] = await world.rows("select id from payments where order_id = 'during-1'")
    path = f"/{ids.encode('pay', row.id)}"
    [shown] = (await world.get(path, "usr_sue", "SUPPORT")).json()["data"]["routing"]
    assert shown == {"gatewayAccountId": B, "reason": "default", "rulesVersion": 0, "others": {A: "calls_fail"}}
    assert "routing" not in (await world.get(path)).json()["data"]
    # They are paid where they are.
    assert (await gateway_b.post("/control/orders/during-1/pay", json={"outcome": "success"})).is_success
    await world.hooks_arrive(1)
    await world.deliver(*world.hooks, account=B)
    [row] = await world.rows("select status from payments where order_id = 'during-1'")
    assert row.status == "SUCCESS"


async def test_an_order_whose_answer_was_lost_is_found_where_it_was_made(
    world: World, gateway_b: httpx.AsyncClient
) -> None:
    await open_circuit(world, action="apply_then_error")
    for _ in range(6):
        await world.run_intents()
    assert await orders(world.sandbox, "wait-1", "wait-2") == ["wait-1", "wait-2"]
    assert await orders(gateway_b, "wait-1", "wait-2") == []
    assert [await account_of(world, each) for each in ("wait-1", "wait-2")] == [A, A]


async def test_what_is_unknown_is_never_tried_elsewhere(world: World, gateway_b: httpx.AsyncClient) -> None:
    await open_circuit(world)
    await world.fault(operation="get_order", action="error", status=503)
    for _ in range(8):
        await world.run_intents()
    assert [await account_of(world, each) for each in ("wait-1", "wait-2")] == [A, A]
    assert await orders(gateway_b, "wait-1", "wait-2") == []
    await recover(world)
    world.clock.advance(31)
    await world.run_intents()
    assert await orders(world.sandbox, "wait-1", "wait-2") == ["wait-1", "wait-2"]


async def test_what_a_confirms_not_to_have_goes_to_b_while_its_calls_fail(
    world: World, gateway_b: httpx.AsyncClient
) -> None:
    await open_circuit(world)
    for _ in range(3):
        await world.run_intents()
        assert await account_of(world, "wait-1") == A
    await world.run_intents()
    assert await account_of(world, "wait-1") == B
    assert await orders(gateway_b, "wait-1", "wait-2") == ["wait-1", "wait-2"]
    assert await history_of(world, "wait-1") == [
        (None, "CREATED", "requested"),
        ("CREATED", "CREATED", "no_order_made"),
        ("CREATED", "PENDING", "order_created"),
    ]
    assert await decisions_of(world, "wait-1") == [
        (A, "default", {B: "not_chosen"}),
        (B, "default", {A: "no_order_made"}),
    ]
    await recover(world)
    await world.run_intents()
    assert await orders(world.sandbox, "wait-1", "wait-2") == []


async def test_a_refused_order_is_made_at_the_next_account(world: World, gateway_b: httpx.AsyncClient) -> None:
    await world.fault(operation="create_order", action="error", status=400)
    data = await world.created(orderId="refused-1")
    assert data["status"] == "PENDING"
    assert await account_of(world, "refused-1") == B
    assert await orders(world.sandbox, "refused-1") == []
    assert await orders(gateway_b, "refused-1") == ["refused-1"]
    assert (await decisions_of(world, "refused-1"))[-1] == (B, "default", {A: "order_refused"})


async def test_a_payment_that_both_refuse_fails(world: World, gateway_b: httpx.AsyncClient) -> None:
    await world.fault(operation="create_order", action="error", status=400)
    assert (
        await gateway_b.post("/control/faults", json={"operation": "create_order", "action": "error", "status": 400})
    ).is_success
    response = await world.create(orderId="refused-2")
    assert response.json()["error"]["code"] == "gateway_refused"
    [row] = await world.rows("select status from payments where order_id = 'refused-2'")
    assert row.status == "FAILED"


async def test_after_a_move_the_retries_are_made_at_the_new_account(world: World, gateway_b: httpx.AsyncClient) -> None:
    await world.fault(operation="create_order", action="error", status=400)
    fault = {"operation": "create_order", "action": "apply_then_error", "status": 503, "count": 1}
    assert (await gateway_b.post("/control/faults", json=fault)).is_success
    await unknown(world, "moved-1")
    await world.run_intents()
    assert await account_of(world, "moved-1") == B
    [row] = await world.rows("select status from payments where order_id = 'moved-1'")
    assert row.status == "PENDING"


async def test_an_order_id_of_another_payment_at_b_keeps_the_payment_at_a(
    world: World, gateway_b: httpx.AsyncClient
) -> None:
    now = world.clock.now()
    other = Builders.payment(
        Status.CREATED,
        id=ids.new(),
        merchant_id="mer_b",
        order_id="shop-1",
        gateway_account_id=B,
        created_at=now,
        updated_at=now,
        next_check_at=now,
    )
    other = msgspec.structs.replace(other, expires_at=now.replace(year=now.year + 1))
    async with world.db.begin() as tx:
        await commands.insert_payments(tx, [other])
        await commands.add_history(tx, [initial_transition(other)])
    await world.fault(operation="create_order", action="error", status=400)
    response = await world.create(orderId="shop-1")
    assert response.json()["error"]["code"] == "gateway_refused"
    assert await orders(gateway_b, "shop-1") == []


async def test_a_cancelled_payment_is_not_moved(world: World, gateway_b: httpx.AsyncClient) -> None:
    await open_circuit(world)
    [row] = await world.rows("select id from payments where order_id = 'wait-1'")
    await world.cancel({"paymentId": ids.encode("pay", row.id)})
    for _ in range(6):
        await world.run_intents()
    assert await account_of(world, "wait-1") == A
    assert await orders(gateway_b, "wait-1") == []


async def test_replicas_share_what_they_find_through_redis(world: World, gateway_b: httpx.AsyncClient) -> None:
    await open_circuit(world)
    await world.run_job("gateway_health")
    [key] = [key async for key in world.redis.scan_iter("gateway:circuit:*")]
    assert 0 < await world.redis.pttl(key) <= 60_000
    # Another replica was answered.
    await world.redis.delete(key)
    await world.run_job("gateway_health")
    await recover(world)
    await world.created(orderId="closed-1")
    assert await account_of(world, "closed-1") == A
    # Another replica finds A failing.
    await world.redis.set(key, b"open", px=60_000)
    await world.run_job("gateway_health")
    await world.created(orderId="opened-1")
    assert await account_of(world, "opened-1") == B
