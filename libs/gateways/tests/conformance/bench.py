"""An adapter beside its provider's simulator, and how each simulator is moved.

A new gateway adds its row to SIMULATORS; the tests stay as they are.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx

from common import ids
from common.money import Money
from gateways import Adapter, Customer, Gateway, GatewayAccount, GatewayCall, OrderReference, OrderRequest
from gateways.refunds import RefundStatus
from gateways.registry import ADAPTERS


class Simulator(Protocol):
    """One provider's simulator, as the conformance tests move it."""

    # What the simulator process needs in its environment.
    environment: Mapping[str, str]
    # The name of "create an order" in the simulator's fault rules.
    create_operation: str

    def account(self, simulator_url: str, notify_url: str) -> GatewayAccount: ...

    async def reset(self, http: httpx.AsyncClient) -> None:
        """Forget all orders and faults."""
        ...

    async def pay(self, http: httpx.AsyncClient, order: OrderReference, outcome: str) -> None:
        """Let the customer try to pay; *outcome* is success or failure. Returns after the webhook was delivered."""
        ...

    async def fault(self, http: httpx.AsyncClient, operation: str, rule: Mapping[str, Any]) -> None:
        """Make calls fail: {"action": "error", "status": 500}, {"action": "timeout", "delay_ms": 2000} …"""
        ...

    async def decide_refund(self, http: httpx.AsyncClient, refund_id: str, status: RefundStatus) -> None:
        """Let a refund end so."""
        ...

    async def refund_unasked(self, http: httpx.AsyncClient, order: OrderReference, is_automatic: bool) -> None:
        """Give the last capture of the order back in the gateway's dashboard or, *is_automatic*, by the gateway."""
        ...

    async def dispute(self, http: httpx.AsyncClient, order: OrderReference) -> str:
        """Dispute the order's payment; the gateway's id of the dispute."""
        ...

    async def end_dispute(self, http: httpx.AsyncClient, gateway_dispute_id: str, *, is_won: bool) -> None: ...

    async def settle(self, http: httpx.AsyncClient, adjustment_minor: int = 0) -> str:
        """Settle now, withholding *adjustment_minor*; the gateway's id of the settlement."""
        ...

    def refused(self, order: Callable[..., OrderRequest]) -> OrderRequest:
        """An order that the provider refuses."""
        ...

    def other_event(self) -> bytes:
        """A webhook's body of a kind that says nothing to us."""
        ...


class CashfreeSimulator:
    environment: Mapping[str, str] = {
        "CASHFREE_APP_ID": "TEST_conformance",
        "CASHFREE_SECRET_KEY": "cfsk_ma_test_conformance",
        "SANDBOX_WEBHOOK_RETRY_MS": "200",
    }
    create_operation = "create_order"

    def account(self, simulator_url: str, notify_url: str) -> GatewayAccount:
        secret = self.environment["CASHFREE_SECRET_KEY"]
        return GatewayAccount(
            id="gwa_conformance",
            gateway="cashfree",
            base_url=f"{simulator_url}/pg",
            key_id=self.environment["CASHFREE_APP_ID"],
            key_secret=secret,
            api_version="2025-01-01",
            notify_url=notify_url,
            webhook_secrets=(secret,),
        )

    async def reset(self, http: httpx.AsyncClient) -> None:
        (await http.post("/control/reset", json={})).raise_for_status()

    async def pay(self, http: httpx.AsyncClient, order: OrderReference, outcome: str) -> None:
        command = {"outcome": outcome, "wait": True}
        response = await http.post(f"/control/orders/{order.order_id}/pay", json=command)
        assert response.status_code == 200, response.text

    async def fault(self, http: httpx.AsyncClient, operation: str, rule: Mapping[str, Any]) -> None:
        response = await http.post("/control/faults", json={"operation": operation, **rule})
        assert response.status_code == 201, response.text

    async def decide_refund(self, http: httpx.AsyncClient, refund_id: str, status: RefundStatus) -> None:
        await self._command(http, f"/control/refunds/{refund_id}", {"status": str(status)})

    async def refund_unasked(self, http: httpx.AsyncClient, order: OrderReference, is_automatic: bool) -> None:
        await self._command(http, f"/control/orders/{order.order_id}/refunds", {"automatic": is_automatic})

    async def dispute(self, http: httpx.AsyncClient, order: OrderReference) -> str:
        return str((await self._command(http, f"/control/orders/{order.order_id}/disputes", {}))["dispute_id"])

    async def end_dispute(self, http: httpx.AsyncClient, gateway_dispute_id: str, *, is_won: bool) -> None:
        await self._command(http, f"/control/disputes/{gateway_dispute_id}", {"step": "WON" if is_won else "LOST"})

    async def settle(self, http: httpx.AsyncClient, adjustment_minor: int = 0) -> str:
        command = {"adjustment_paise": -adjustment_minor}
        return str((await self._command(http, "/control/settlements", command))["cf_settlement_id"])

    async def _command(self, http: httpx.AsyncClient, path: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        response = await http.post(path, json=command)
        assert response.is_success, response.text
        return dict(response.json())

    def refused(self, order: Callable[..., OrderRequest]) -> OrderRequest:
        return order(expires_at=datetime.now(UTC))

    def other_event(self) -> bytes:
        return b'{"type":"VENDOR_STATUS_UPDATE","data":{},"event_time":"2026-04-01T15:30:00+05:30"}'


SIMULATORS: Mapping[str, Simulator] = {"cashfree": CashfreeSimulator()}
assert SIMULATORS.keys() | {"razorpay"} == ADAPTERS.keys(), "every adapter needs its simulator here"


class Webhook:
    """One delivery as it came; header names are lower case."""

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.headers = headers
        self.body = body


class Bench:
    """An adapter, an account of it, and the levers of its simulator."""

    def __init__(
        self,
        adapter: Adapter,
        gateway: Gateway,
        simulator: Simulator,
        http: httpx.AsyncClient,
        webhooks: list[Webhook],
        calls: list[GatewayCall],
    ) -> None:
        self.adapter = adapter
        self.gateway = gateway
        self.account = gateway.account
        self.simulator = simulator
        self.http = http
        self.webhooks = webhooks
        self.calls = calls

    def order(self, **fields: Any) -> OrderRequest:
        payment_id = ids.new()
        usual: dict[str, Any] = {
            "order_id": ids.encode("ord", payment_id),
            "payment_id": ids.encode("pay", payment_id),
            "amount": Money(12_345),
            "customer_id": "usr_1",
            "customer": Customer("asha@example.in", "+919876543210", "Asha"),
            "expires_at": datetime.now(UTC) + timedelta(minutes=30),
        }
        return OrderRequest(**usual | fields)

    async def pay(self, order: OrderReference, outcome: str = "success") -> None:
        before = len(self.webhooks)
        await self.simulator.pay(self.http, order, outcome)
        await self.webhook(before)

    async def webhook(self, number: int) -> Webhook:
        """The webhook of that number, from 0, once it has come; the last one when more have come."""
        async with asyncio.timeout(5):
            while len(self.webhooks) <= number:
                await asyncio.sleep(0.01)
        return self.webhooks[-1]

    async def fault(self, operation: str = "*", **rule: Any) -> None:
        await self.simulator.fault(self.http, operation, rule)
