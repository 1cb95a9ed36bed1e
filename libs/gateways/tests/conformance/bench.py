"""An adapter beside its provider's simulator, and how each simulator is moved.

A new gateway adds its row to SIMULATORS; the tests stay as they are.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
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

    async def reset(self, http: httpx.AsyncClient, notify_url: str) -> None:
        """Forget all orders and faults; webhooks go to *notify_url*."""
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
        """Give the last capture of the order back in the gateway's dashboard or, *is_automatic*, by the gateway.

        Where the gateway gives no capture back by itself, it gives back an authorisation that was not captured.
        """
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

    async def reset(self, http: httpx.AsyncClient, notify_url: str) -> None:
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


class RazorpaySimulator:
    environment: Mapping[str, str] = {
        "SANDBOX_RAZORPAY_KEY_ID": "rzp_test_conformance00",
        "SANDBOX_RAZORPAY_KEY_SECRET": "conformance_key_secret",
        "SANDBOX_RAZORPAY_WEBHOOK_SECRET": "conformance_webhook_secret",
    }
    create_operation = "create_order"
    # One webhook for each payment: Razorpay would tell of its authorisation and of its order, too.
    _events: Sequence[str] = (
        *("payment.captured", "payment.failed", "refund.processed", "refund.failed", "settlement.processed"),
        *("payment.dispute.created", "payment.dispute.won", "payment.dispute.lost"),
    )

    def account(self, simulator_url: str, notify_url: str) -> GatewayAccount:
        return GatewayAccount(
            id="gwa_conformance",
            gateway="razorpay",
            base_url=f"{simulator_url}/razorpay",
            key_id=self.environment["SANDBOX_RAZORPAY_KEY_ID"],
            key_secret=self.environment["SANDBOX_RAZORPAY_KEY_SECRET"],
            webhook_secrets=(self.environment["SANDBOX_RAZORPAY_WEBHOOK_SECRET"],),
        )

    async def reset(self, http: httpx.AsyncClient, notify_url: str) -> None:
        await self._command(http, "/reset", {})
        account = {
            "key_id": self.environment["SANDBOX_RAZORPAY_KEY_ID"],
            "key_secret": self.environment["SANDBOX_RAZORPAY_KEY_SECRET"],
            "webhook_secret": self.environment["SANDBOX_RAZORPAY_WEBHOOK_SECRET"],
            "webhook_url": notify_url,
            "events": self._events,
        }
        await self._command(http, "/accounts", account)

    async def pay(self, http: httpx.AsyncClient, order: OrderReference, outcome: str) -> None:
        await self._command(http, f"/orders/{order.order_id}/pay", {"outcome": outcome, "wait": True})

    async def fault(self, http: httpx.AsyncClient, operation: str, rule: Mapping[str, Any]) -> None:
        await self._command(http, "/faults", {"operation": operation, **rule})

    async def decide_refund(self, http: httpx.AsyncClient, refund_id: str, status: RefundStatus) -> None:
        words = {RefundStatus.SUCCESS: "processed", RefundStatus.FAILED: "failed", RefundStatus.PENDING: "pending"}
        await self._command(http, f"/refunds/{refund_id}", {"status": words[status]})

    async def refund_unasked(self, http: httpx.AsyncClient, order: OrderReference, is_automatic: bool) -> None:
        if not is_automatic:
            await self._command(http, f"/orders/{order.order_id}/refunds", {})
            return
        credentials = (self.environment["SANDBOX_RAZORPAY_KEY_ID"], self.environment["SANDBOX_RAZORPAY_KEY_SECRET"])
        uncaptured = {"amount": 12_345, "currency": "INR", "payment_capture": 0}
        made = (await http.post("/razorpay/v1/orders", json=uncaptured, auth=credentials)).json()
        paid = await self._command(http, f"/orders/{made['id']}/pay", {"outcome": "success", "wait": True})
        await self._command(http, f"/payments/{paid['payment_id']}", {"status": "refunded"})

    async def dispute(self, http: httpx.AsyncClient, order: OrderReference) -> str:
        # As far as settlements go: the money may be taken at once, or when the dispute is lost.
        command = {"deducts_at_once": True}
        return str((await self._command(http, f"/orders/{order.order_id}/disputes", command))["dispute_id"])

    async def end_dispute(self, http: httpx.AsyncClient, gateway_dispute_id: str, *, is_won: bool) -> None:
        await self._command(http, f"/disputes/{gateway_dispute_id}", {"status": "won" if is_won else "lost"})

    async def settle(self, http: httpx.AsyncClient, adjustment_minor: int = 0) -> str:
        command = {"adjustment_paise": -adjustment_minor}
        return str((await self._command(http, "/settlements", command))["id"])

    async def _command(self, http: httpx.AsyncClient, path: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        response = await http.post(f"/razorpay/control{path}", json=command)
        assert response.is_success, response.text
        return dict(response.json() or {})

    def refused(self, order: Callable[..., OrderRequest]) -> OrderRequest:
        return order(amount=Money(99))

    def other_event(self) -> bytes:
        return b'{"entity":"event","event":"invoice.paid","payload":{},"created_at":1767225600}'


SIMULATORS: Mapping[str, Simulator] = {"cashfree": CashfreeSimulator(), "razorpay": RazorpaySimulator()}
assert SIMULATORS.keys() == ADAPTERS.keys(), "every adapter needs its simulator here"


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
