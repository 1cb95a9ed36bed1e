"""The API under /razorpay/control: pay on command, decide payments, add accounts. Orders go by id or receipt."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.control import BulkPay, PayCommand, command_of, json
from sandbox.faults import Faults
from sandbox.razorpay import methods, webhooks
from sandbox.razorpay.accounts import Account, Accounts
from sandbox.razorpay.domain import Order, Payment, PaymentStatus
from sandbox.razorpay.errors import Refused
from sandbox.razorpay.simulator import Simulator


class PaymentCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: PaymentStatus


class Control:
    """What a test may do to the simulator beyond the gateway's own API."""

    def __init__(self, simulator: Simulator, accounts: Accounts, faults: Faults) -> None:
        self._simulator = simulator
        self._orders = simulator.orders
        self._accounts = accounts
        self._faults = faults

    def routes(self) -> list[Route]:
        """The paths under /razorpay/control that are Razorpay's own."""
        return [
            Route("/accounts", self.put_account, methods=["PUT", "POST"]),
            Route("/pay", self.pay_many, methods=["POST"]),
            Route("/orders/{order_id}/pay", self.pay, methods=["POST"]),
            Route("/orders/{order_id}/expire", self.expire, methods=["POST"]),
            Route("/orders/{order_id}", self.order, methods=["GET"]),
            Route("/payments/{payment_id}", self.decide, methods=["POST"]),
        ]

    async def put_account(self, request: Request) -> Response:
        """Add an account, or change the one with that key id."""
        account = self._accounts.put(await command_of(request, Account))
        return json({"key_id": account.key_id, "account_id": account.account_id}, 201)

    async def pay(self, request: Request) -> Response:
        """Pay one order; with "wait", answer after the webhooks were answered."""
        command = await command_of(request, PayCommand)
        order = self._orders.named(request.path_params["order_id"])
        method = methods.named(command.method, command.handle)
        if not command.wait:
            payment = self._simulator.pay(order, method, command.chosen(), command.delay_ms, force=command.force)
            return json(_paid(order, payment))
        payment, statuses = await self._simulator.pay_and_wait(order, method, command.chosen(), force=command.force)
        return json(_paid(order, payment) | {"webhook": statuses})

    async def pay_many(self, request: Request) -> Response:
        """Pay many orders alike; those that refuse are listed with their reason and do not hold up the rest."""
        command = await command_of(request, BulkPay)
        method, refused, paid = methods.named(command.method, command.handle), {}, 0
        for order_id in command.order_ids:
            try:
                order = self._orders.named(order_id)
                self._simulator.pay(order, method, command.chosen(), command.delay_ms, force=command.force)
                paid += 1
            except Refused as refusal:
                refused[order_id] = refusal.reason
        return json({"paid": paid, "refused": refused})

    async def expire(self, request: Request) -> Response:
        """Let the time of an order's payments run out: open ones fail, authorised ones are given back."""
        order = self._orders.named(request.path_params["order_id"])
        self._simulator.expire(order)
        return json(_state(order))

    async def order(self, request: Request) -> Response:
        """An order as the simulator sees it."""
        order = self._orders.named(request.path_params["order_id"])
        payments = [{"id": it.id, "status": it.status, "amount_paise": it.amount} for it in order.payments]
        refunds = [
            {"id": it.id, "receipt": it.receipt, "status": it.status, "amount_paise": it.amount}
            for payment in order.payments
            for it in payment.refunds
        ]
        more = {"amount_paise": order.amount, "key_id": order.account.key_id, "payments": payments, "refunds": refunds}
        return json(_state(order) | more | {"faults": self._faults.of_order(order.name)})

    async def decide(self, request: Request) -> Response:
        """Give a payment a status that it may have next."""
        command = await command_of(request, PaymentCommand)
        order, payment = self._orders.payment(request.path_params["payment_id"])
        self._simulator.decide(order, payment, command.status)
        return json(_paid(order, payment))


def _state(order: Order) -> dict[str, Any]:
    return {"order_id": order.id, "receipt": order.receipt, "order_status": order.status}


def _paid(order: Order, payment: Payment) -> dict[str, Any]:
    """What checkout would hand to the shop's page stands in it too, once there is something to prove."""
    proof = {} if payment.status in (PaymentStatus.CREATED, PaymentStatus.FAILED) else _proof(order, payment)
    return _state(order) | {"payment_id": payment.id, "payment_status": payment.status} | proof


def _proof(order: Order, payment: Payment) -> dict[str, str]:
    return webhooks.proof(order.account, order.id, payment.id)
