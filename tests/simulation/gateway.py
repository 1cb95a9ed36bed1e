"""A payment gateway: idempotent by our order id, unreliable in every answer, and its webhooks come when they like."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from common.money import Money
from gateways import AttemptStatus, OrderSnapshot, OrderStatus, PaymentAttempt, Unknown

from .faults import Faults
from .loop import EPOCH_SECONDS, OwnedTask, VirtualLoop
from .process import Process, Trace


class GatewayTimeout(TimeoutError):
    """Nobody knows whether it happened."""


@dataclass
class Order:
    order_id: str
    gateway_order_id: str
    amount: Money
    payment_id: str
    status: OrderStatus = OrderStatus.ACTIVE
    claims: dict[str, PaymentAttempt] = field(default_factory=dict)
    # Until then the order is shown as it was before it was paid.
    shown_from: float = 0.0


@dataclass(frozen=True)
class Webhook:
    event_id: str
    claim: PaymentAttempt


Send = Callable[[Webhook], Awaitable[None]]


class Gateway:
    def __init__(self, loop: VirtualLoop, faults: Faults, trace: Trace, send: Send) -> None:
        self.loop = loop
        self.faults = faults
        self.trace = trace
        self.send = send
        self.orders: dict[str, Order] = {}
        # Effects by idempotency key, and calls in flight by it: whose process, to see two at once.
        self.made: dict[str, int] = {}
        self.calling: dict[str, list[Process]] = {}
        self.overlaps: list[str] = []
        self.running: set[asyncio.Task[None]] = set()

    async def create_order(
        self, process: Process, key: str, order_id: str, amount: Money, payment_id: str
    ) -> OrderSnapshot:
        """Make the order, once for each *key*. Raises GatewayTimeout, whether or not it happened."""
        await self._hear(process)
        others = [each for each in self.calling.setdefault(key, []) if not each.dead]
        if others:
            self.overlaps.append(key)
        self.calling[key].append(process)
        try:
            if self.faults.strikes("gateway_before"):
                raise GatewayTimeout
            if key not in self.made:
                self.made[key] = 1
                self._open(order_id, amount, payment_id)
            if self.faults.has("slow_gateway"):
                await asyncio.sleep(self.faults.rng.random() * 2)
            await self._answer(process)
        finally:
            self.calling[key].remove(process)
        return self.view(self.orders[order_id])

    async def read_order(self, process: Process, order_id: str) -> OrderSnapshot | Unknown:
        await self._hear(process)
        if self.faults.strikes("gateway_before") or order_id not in self.orders:
            return Unknown("5xx")
        view = self.view(self.orders[order_id])
        await process.pause(0.05)
        return view

    async def read_payments(self, process: Process, order_id: str) -> tuple[PaymentAttempt, ...] | Unknown:
        await self._hear(process)
        if self.faults.strikes("gateway_before"):
            return Unknown("5xx")
        return tuple(self.orders[order_id].claims.values())

    def view(self, order: Order) -> OrderSnapshot:
        shown = order.status if self.loop.time() >= order.shown_from else OrderStatus.ACTIVE
        return OrderSnapshot(order.order_id, order.gateway_order_id, shown, order.amount, "session", order.payment_id)

    def _open(self, order_id: str, amount: Money, payment_id: str) -> None:
        rng = self.faults.rng
        if self.faults.has("wrong_amount") and rng.random() < 0.2:
            amount = Money(amount.minor - 10, amount.currency)
        order = Order(order_id, f"cf_{len(self.orders)}", amount, payment_id)
        self.orders[order_id] = order
        self.trace("gateway", "makes order", order_id)
        # Nobody's task: the customer lives on when the process that asked for the order dies.
        task = OwnedTask(self._live(order), loop=self.loop)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _live(self, order: Order) -> None:
        """The customer tries, pays, gives up or comes late."""
        rng, faults = self.faults.rng, self.faults
        await asyncio.sleep(rng.random() * (0.01 if faults.has("early_webhook") else 3))
        if rng.random() < 0.3:
            await self._attempt(order, AttemptStatus.FAILED)
        fate = rng.random()
        if fate < 0.12:
            order.status = OrderStatus.EXPIRED
            if fate < 0.06 or not faults.has("late_success"):
                return
            await asyncio.sleep(rng.random() * 6)
        if faults.strikes("gateway_lags"):
            order.shown_from = self.loop.time() + rng.random() * 3
        order.status = OrderStatus.PAID
        await self._attempt(order, AttemptStatus.SUCCESS, must=fate < 0.12)
        if faults.has("second_capture") and rng.random() < 0.2:
            await asyncio.sleep(rng.random() * 4)
            await self._attempt(order, AttemptStatus.SUCCESS, must=True)

    async def _attempt(self, order: Order, status: AttemptStatus, *, must: bool = False) -> None:
        rng = self.faults.rng
        claim = PaymentAttempt(
            order.order_id, f"{order.gateway_order_id}_{len(order.claims)}", status, order.amount, order.amount, "upi",
            reason="declined" if status is AttemptStatus.FAILED else "",
            at=datetime.fromtimestamp(EPOCH_SECONDS + self.loop.time(), UTC),
        )  # fmt: skip
        order.claims[claim.gateway_payment_id] = claim
        copies = 2 if self.faults.strikes("webhook_twice") else 1
        if self.faults.strikes("webhook_dropped") and not must:
            return
        webhook = Webhook(f"evt_{claim.gateway_payment_id}", claim)
        sends = [self._deliver(webhook, rng.random() * (0.02 if rng.random() < 0.5 else 2)) for _ in range(copies)]
        await asyncio.gather(*sends)

    async def _deliver(self, webhook: Webhook, after_seconds: float) -> None:
        """Again and again until somebody answers 200."""
        await asyncio.sleep(after_seconds)
        while True:
            try:
                await self.send(webhook)
                return
            except Exception:  # noqa: BLE001 - a gateway takes anything but 200 for "not yet"
                await asyncio.sleep(0.5)

    async def _hear(self, process: Process) -> None:
        await process.pause(0.02)

    async def _answer(self, process: Process) -> None:
        if self.faults.strikes("gateway_after"):
            raise GatewayTimeout
        await process.pause(0.02)
