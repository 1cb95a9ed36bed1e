"""What every gateway adapter must do, whoever the gateway is. Each adapter is held against a sandbox of its gateway."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from common import ids
from common.money import Money
from payment.domain import AttemptStatus, Customer, OrderMissing, OrderRefused, OrderStatus, OrderView, Unknown
from payment.gateways import Gateway, Heard, OrderRequest, Parked
from payment.gateways.cashfree_client import Account, CallMade, CashfreeGateway

ADAPTERS = ("cashfree",)


class Bench:
    """An adapter, and the levers of its gateway's sandbox."""

    def __init__(self, gateway: Gateway, sandbox: httpx.AsyncClient, bodies: list[bytes]) -> None:
        self.gateway = gateway
        self.sandbox = sandbox
        self.bodies = bodies
        self.calls: list[CallMade] = []

    def order(self, **fields: Any) -> OrderRequest:
        payment_id = ids.new()
        usual: dict[str, Any] = {
            "order_id": ids.encode("ord", payment_id),
            "payment_id": ids.encode("pay", payment_id),
            "amount": Money(12_345),
            "customer_id": "usr_1",
            "customer": Customer("asha@example.in", "9876543210", "Asha"),
            "expires_at": datetime.now(UTC) + timedelta(minutes=30),
        }
        return OrderRequest(**usual | fields)

    async def pay(self, order_id: str, outcome: str = "success") -> None:
        command = {"outcome": outcome, "wait": True}
        response = await self.sandbox.post(f"/control/orders/{order_id}/pay", json=command)
        assert response.status_code == 200, response.text

    async def fault(self, **rule: Any) -> None:
        assert (await self.sandbox.post("/control/faults", json=rule)).status_code == 201


@pytest.fixture(params=ADAPTERS)
async def bench(request: Any, sandbox_url: str, sandbox_account: tuple[str, str], hooks: Any) -> Any:
    app_id, secret = sandbox_account
    calls: list[CallMade] = []
    account = Account(f"{sandbox_url}/pg", app_id, secret, "2025-01-01", hooks.url)
    async with (
        CashfreeGateway(account, calls.append) as gateway,
        httpx.AsyncClient(base_url=sandbox_url) as sandbox,
    ):
        await sandbox.post("/control/reset", json={})
        bench = Bench(gateway, sandbox, hooks.bodies)
        bench.calls = calls
        assert gateway.name == request.param
        yield bench


async def test_an_order_is_made_and_read_back(bench: Bench) -> None:
    order = bench.order()
    made = await bench.gateway.create_order(order, 5)
    assert isinstance(made, OrderView)
    assert (made.status, made.amount, made.payment_id) == (OrderStatus.ACTIVE, Money(12_345), order.payment_id)
    assert made.session_id
    assert await bench.gateway.read_order(order.order_id, 5) == made
    assert await bench.gateway.read_payments(order.order_id, 5) == []
    assert [call.outcome for call in bench.calls] == ["answered"] * 3


async def test_making_it_again_finds_it(bench: Bench) -> None:
    order = bench.order()
    first = await bench.gateway.create_order(order, 5)
    for attempt in (1, 2):
        again = OrderRequest(**{f: getattr(order, f) for f in order.__struct_fields__} | {"attempt": attempt})
        assert await bench.gateway.create_order(again, 5) == first


async def test_what_is_not_there_is_missing(bench: Bench) -> None:
    assert await bench.gateway.read_order("ord_nobody", 5) == OrderMissing("ord_nobody")


async def test_a_bad_order_is_refused_for_good(bench: Bench) -> None:
    answer = await bench.gateway.create_order(bench.order(expires_at=datetime.now(UTC)), 5)
    assert isinstance(answer, OrderRefused)


@pytest.mark.parametrize(
    "fault",
    [{"action": "error", "status": 500}, {"action": "error", "status": 429}, {"action": "timeout", "delay_ms": 2_000}],
    ids=str,
)
async def test_no_answer_is_unknown_for_every_call(bench: Bench, fault: dict[str, Any]) -> None:
    order = bench.order()
    await bench.gateway.create_order(order, 5)
    await bench.fault(operation="*", **fault)
    assert isinstance(await bench.gateway.create_order(bench.order(), 0.3), Unknown)
    assert isinstance(await bench.gateway.read_order(order.order_id, 0.3), Unknown)
    assert isinstance(await bench.gateway.read_payments(order.order_id, 0.3), Unknown)
    assert isinstance(await bench.gateway.terminate_order(order.order_id, 0.3), Unknown)


async def test_a_gateway_that_is_not_there_is_unknown(bench: Bench) -> None:
    account = Account("http://127.0.0.1:1/pg", "x", "y", "2025-01-01", "")
    async with CashfreeGateway(account, bench.calls.append) as nobody:
        assert isinstance(await nobody.create_order(bench.order(), 1), Unknown)
    assert bench.calls[-1].outcome == "no_answer"


async def test_wrong_keys_say_nothing_about_the_payment(bench: Bench, sandbox_url: str) -> None:
    account = Account(f"{sandbox_url}/pg", "TEST_x", "wrong", "2025-01-01", "")
    async with CashfreeGateway(account, bench.calls.append) as stranger:
        assert isinstance(await stranger.create_order(bench.order(), 1), Unknown)


async def test_a_paid_order_says_who_paid_and_its_webhook_agrees(bench: Bench) -> None:
    order = bench.order()
    await bench.gateway.create_order(order, 5)
    await bench.pay(order.order_id, "failure")
    await bench.pay(order.order_id)
    view = await bench.gateway.read_order(order.order_id, 5)
    assert isinstance(view, OrderView)
    assert view.status is OrderStatus.PAID
    listed = await bench.gateway.read_payments(order.order_id, 5)
    assert not isinstance(listed, Unknown)
    assert sorted(claim.status for claim in listed) == [AttemptStatus.FAILED, AttemptStatus.SUCCESS]
    told = [bench.gateway.read_webhook(body) for body in bench.bodies]
    by_id = {claim.gateway_payment_id: claim for claim in listed}
    for heard in told:
        assert isinstance(heard, Heard)
        same = by_id[heard.claim.gateway_payment_id]
        assert (heard.order_id, heard.claim.status) == (order.order_id, same.status)
        assert (heard.claim.order_amount, heard.claim.amount) == (same.order_amount, same.amount)
        assert (heard.claim.method, heard.claim.reason) == (same.method, same.reason)
    assert isinstance(bench.gateway.read_webhook(json.dumps({"type": "SOMETHING_ELSE"}).encode()), Parked)


async def test_an_unpaid_order_is_terminated_and_a_paid_one_is_not(bench: Bench) -> None:
    unpaid, paid = bench.order(), bench.order()
    for order in (unpaid, paid):
        await bench.gateway.create_order(order, 5)
    await bench.pay(paid.order_id)
    closed = await bench.gateway.terminate_order(unpaid.order_id, 5)
    kept = await bench.gateway.terminate_order(paid.order_id, 5)
    assert isinstance(closed, OrderView)
    assert isinstance(kept, OrderView)
    assert (closed.status, kept.status) == (OrderStatus.TERMINATED, OrderStatus.PAID)
    assert await bench.gateway.terminate_order("ord_nobody", 5) == OrderMissing("ord_nobody")
