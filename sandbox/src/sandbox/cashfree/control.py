"""The API under /control, for tests, demos and load: pay on command, decide refunds, see an order from inside."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.cashfree import methods
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.domain import Order, RefundStatus
from sandbox.cashfree.errors import Refused
from sandbox.cashfree.refunds import Refunds
from sandbox.cashfree.simulator import Simulator
from sandbox.clock import now
from sandbox.control import BulkPay, PayCommand, command_of, described, json
from sandbox.faults import Faults


class RefundCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: RefundStatus


class PingCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    url: str


class Control:
    """What a test may do to the simulator beyond the gateway's own API."""

    def __init__(self, simulator: Simulator, refunds: Refunds, announcer: Announcer, faults: Faults) -> None:
        self._simulator = simulator
        self._orders = simulator.orders
        self._refunds = refunds
        self._announcer = announcer
        self._faults = faults

    def routes(self) -> list[Route]:
        """The paths under /control that are Cashfree's own."""
        return [
            Route("/pay", self.pay_many, methods=["POST"]),
            Route("/orders/{order_id}/pay", self.pay, methods=["POST"]),
            Route("/orders/{order_id}/expire", self.expire, methods=["POST"]),
            Route("/orders/{order_id}", self.order, methods=["GET"]),
            Route("/refunds/{refund_id}", self.decide_refund, methods=["POST"]),
            Route("/webhooks/ping", self.ping, methods=["POST"]),
        ]

    async def pay(self, request: Request) -> Response:
        """Pay one order; with "wait", answer after the webhook was answered."""
        command = await command_of(request, PayCommand)
        order = self._orders.order(request.path_params["order_id"])
        method = methods.named(command.method, command.handle)
        if not command.wait:
            payment = self._simulator.pay(order, method, command.chosen(), command.delay_ms, force=command.force)
            return json(_paid(order) | {"cf_payment_id": str(payment.cf_payment_id), "payment_status": payment.status})
        statuses = await self._simulator.pay_and_wait(order, method, command.chosen(), force=command.force)
        payment = order.payments[-1]
        return json(
            _paid(order)
            | {"cf_payment_id": str(payment.cf_payment_id), "payment_status": payment.status, "webhook": statuses}
        )

    async def pay_many(self, request: Request) -> Response:
        """Pay many orders alike; those that refuse are listed with their code and do not hold up the rest."""
        command = await command_of(request, BulkPay)
        method, refused, paid = methods.named(command.method, command.handle), {}, 0
        for order_id in command.order_ids:
            try:
                order = self._orders.order(order_id)
                self._simulator.pay(order, method, command.chosen(), command.delay_ms, force=command.force)
                paid += 1
            except Refused as refusal:
                refused[order_id] = refusal.code
        return json({"paid": paid, "refused": refused})

    async def expire(self, request: Request) -> Response:
        """Let an order's time run out now."""
        order = self._orders.order(request.path_params["order_id"])
        self._simulator.expire(order)
        return json(_paid(order))

    async def order(self, request: Request) -> Response:
        """An order as the simulator sees it."""
        order = self._orders.order(request.path_params["order_id"])
        payments = [
            {"cf_payment_id": str(it.cf_payment_id), "status": it.status, "amount_paise": it.amount_paise}
            for it in order.payments
        ]
        refunds = [
            {"refund_id": it.refund_id, "status": it.status, "amount_paise": it.amount_paise} for it in order.refunds
        ]
        more = {"amount_paise": order.amount_paise, "payment_session_id": order.session_id, "payments": payments}
        return json(_paid(order) | more | {"refunds": refunds, "faults": self._faults.of_order(order.order_id)})

    async def decide_refund(self, request: Request) -> Response:
        """Give a refund a status, whatever it was."""
        command = await command_of(request, RefundCommand)
        order, refund = self._orders.refund(request.path_params["refund_id"])
        self._refunds.decide(order, refund, command.status)
        return json({"refund_id": refund.refund_id, "refund_status": refund.status})

    async def ping(self, request: Request) -> Response:
        """Send the dashboard's endpoint test."""
        command = await command_of(request, PingCommand)
        return json(described(self._announcer.ping(command.url)), 202)


def _paid(order: Order) -> dict[str, Any]:
    return {"order_id": order.order_id, "order_status": order.status_at(now())}
