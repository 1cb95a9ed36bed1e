"""The API under /control, for tests, demos and load: pay on command, set faults, read what was sent, start over."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.cashfree import methods
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.domain import Order, RefundStatus
from sandbox.cashfree.errors import Refused
from sandbox.cashfree.idempotency import Idempotency
from sandbox.cashfree.outcomes import Outcome
from sandbox.cashfree.quotas import DEFAULTS, Quotas
from sandbox.cashfree.refunds import Refunds
from sandbox.cashfree.simulator import Simulator
from sandbox.clock import now
from sandbox.delivery import Message, Sender, Sent
from sandbox.faults import Faults, Rule

_LISTED_MAX = 1_000
T = TypeVar("T")


class PayCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to pay. Outcome "auto" draws it (magic amounts and handles included); *force* pays whatever the state."""

    method: str = "upi"
    handle: str = ""
    outcome: str = "success"
    delay_ms: int = 0
    force: bool = False
    wait: bool = False

    def chosen(self) -> Outcome | None:
        """The outcome commanded, or None to draw it; raises ValueError on an unknown one."""
        return None if self.outcome == "auto" else Outcome(self.outcome)


class BulkPay(PayCommand, kw_only=True, forbid_unknown_fields=True):
    order_ids: list[str]


class Resend(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """*fresh*: new timestamp and signature; otherwise the very bytes and headers again. *times* copies."""

    fresh: bool = True
    times: int = 1


class QuotaCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = True
    limits: dict[str, int] | None = None


class ResetCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    seed: int | None = None


class RefundCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: RefundStatus


class PingCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    url: str


class Control:
    """What a test may do to the simulator beyond the gateway's own API."""

    def __init__(
        self,
        simulator: Simulator,
        refunds: Refunds,
        announcer: Announcer,
        sender: Sender,
        faults: Faults,
        quotas: Quotas,
        idempotency: Idempotency,
        forget: Callable[[], None],
    ) -> None:
        self._simulator = simulator
        self._orders = simulator.orders
        self._refunds = refunds
        self._announcer = announcer
        self._sender = sender
        self._faults = faults
        self._quotas = quotas
        self._idempotency = idempotency
        self._forget = forget

    def routes(self) -> list[Route]:
        """The paths under /control."""
        return [
            Route("/pay", self.pay_many, methods=["POST"]),
            Route("/orders/{order_id}/pay", self.pay, methods=["POST"]),
            Route("/orders/{order_id}/expire", self.expire, methods=["POST"]),
            Route("/orders/{order_id}/faults", self.add_fault, methods=["POST"]),
            Route("/orders/{order_id}", self.order, methods=["GET"]),
            Route("/refunds/{refund_id}", self.decide_refund, methods=["POST"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/faults/{fault_id:int}", self.remove_fault, methods=["DELETE"]),
            Route("/webhooks", self.webhooks, methods=["GET"]),
            Route("/webhooks/ping", self.ping, methods=["POST"]),
            Route("/webhooks/{sent_id:int}/resend", self.resend, methods=["POST"]),
            Route("/quotas", self.set_quotas, methods=["PUT"]),
            Route("/stats", self.stats, methods=["GET"]),
            Route("/reset", self.reset, methods=["POST"]),
        ]

    async def pay(self, request: Request) -> Response:
        """Pay one order; with "wait", answer after the webhook was answered."""
        command = await _command(request, PayCommand)
        order = self._orders.order(request.path_params["order_id"])
        method = methods.named(command.method, command.handle)
        if not command.wait:
            payment = self._simulator.pay(order, method, command.chosen(), command.delay_ms, force=command.force)
            return _json(_paid(order) | {"cf_payment_id": str(payment.cf_payment_id), "payment_status": payment.status})
        statuses = await self._simulator.pay_and_wait(order, method, command.chosen(), force=command.force)
        payment = order.payments[-1]
        return _json(
            _paid(order)
            | {"cf_payment_id": str(payment.cf_payment_id), "payment_status": payment.status, "webhook": statuses}
        )

    async def pay_many(self, request: Request) -> Response:
        """Pay many orders alike; those that refuse are listed with their code and do not hold up the rest."""
        command = await _command(request, BulkPay)
        method, refused, paid = methods.named(command.method, command.handle), {}, 0
        for order_id in command.order_ids:
            try:
                order = self._orders.order(order_id)
                self._simulator.pay(order, method, command.chosen(), command.delay_ms, force=command.force)
                paid += 1
            except Refused as refusal:
                refused[order_id] = refusal.code
        return _json({"paid": paid, "refused": refused})

    async def expire(self, request: Request) -> Response:
        """Let an order's time run out now."""
        order = self._orders.order(request.path_params["order_id"])
        self._simulator.expire(order)
        return _json(_paid(order))

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
        return _json(_paid(order) | more | {"refunds": refunds, "faults": self._faults.of_order(order.order_id)})

    async def decide_refund(self, request: Request) -> Response:
        """Give a refund a status, whatever it was."""
        command = await _command(request, RefundCommand)
        order, refund = self._orders.refund(request.path_params["refund_id"])
        self._refunds.decide(order, refund, command.status)
        return _json({"refund_id": refund.refund_id, "refund_status": refund.status})

    async def add_fault(self, request: Request) -> Response:
        """Put a rule in force; under an order's path it is about that order, which need not exist yet."""
        rule = await _command(request, Rule)
        rule.order_id = request.path_params.get("order_id", rule.order_id)
        return _json(self._faults.add(rule), 201)

    async def list_faults(self, _: Request) -> Response:
        """Every rule in force."""
        return _json({"faults": self._faults.all()})

    async def clear_faults(self, _: Request) -> Response:
        """Remove every rule."""
        self._faults.clear()
        return _json({"faults": []})

    async def remove_fault(self, request: Request) -> Response:
        """Remove one rule."""
        removed = self._faults.remove(request.path_params["fault_id"])
        return _json({"removed": removed}, 200 if removed else 404)

    async def webhooks(self, request: Request) -> Response:
        """What was sent, newest first, by ?order_id=, ?type= and ?limit=, with raw bodies and headers."""
        query = request.query_params
        limit = min(int(query.get("limit", "100")), _LISTED_MAX)
        listed = []
        for sent in reversed(self._sender.log):
            if query.get("order_id", sent.message.order_id) != sent.message.order_id:
                continue
            if query.get("type", sent.message.event) != sent.message.event:
                continue
            listed.append(_sent(sent))
            if len(listed) >= limit:
                break
        return _json({"webhooks": listed, "pending": self._sender.pending})

    async def ping(self, request: Request) -> Response:
        """Send the dashboard's endpoint test."""
        command = await _command(request, PingCommand)
        return _json(_message(self._announcer.ping(command.url)), 202)

    async def resend(self, request: Request) -> Response:
        """Send a webhook from the log again."""
        command = await _command(request, Resend)
        sent = next((it for it in self._sender.log if it.id == request.path_params["sent_id"]), None)
        if sent is None:
            return _json({"message": "not in the log"}, 404)
        message = self._announcer.signed_again(sent.message) if command.fresh else sent.message
        for _ in range(command.times):
            self._sender.send(message)
        return _json(_message(message), 202)

    async def set_quotas(self, request: Request) -> Response:
        """Turn quotas on (production's defaults, or limits per minute and operation) or off."""
        command = await _command(request, QuotaCommand)
        self._quotas.set((DEFAULTS if command.limits is None else command.limits) if command.enabled else {})
        return _json({"limits": self._quotas.limits})

    async def stats(self, _: Request) -> Response:
        """Counts since the start, and how long the receivers of webhooks took to answer."""
        sender = self._sender
        return _json(
            {
                "orders": len(self._orders),
                "webhooks": {
                    "pending": sender.pending,
                    "delivered": sender.delivered,
                    "failed_attempts": sender.failed,
                    "given_up": sender.given_up,
                    "refused": sender.refused,
                    "answered_in": sender.latencies.described(),
                },
                "faults": len(self._faults.all()),
            }
        )

    async def reset(self, request: Request) -> Response:
        """Forget orders, faults, keys, quotas, pending webhooks and the log; optionally set the seed."""
        command = await _command(request, ResetCommand)
        self._simulator.reset()
        self._forget()
        self._sender.cancel_waiting()
        self._sender.log.clear()
        self._faults.clear()
        self._idempotency.clear()
        self._quotas.set({})
        if command.seed is not None:
            self._simulator.draw.random.seed(command.seed)
        return _json({"reset": True})


async def _command(request: Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.body() or b"{}", type=kind)


def _paid(order: Order) -> dict[str, Any]:
    return {"order_id": order.order_id, "order_status": order.status_at(now())}


def _message(message: Message) -> dict[str, Any]:
    return {
        "type": message.event,
        "order_id": message.order_id,
        "url": message.url,
        "headers": message.headers,
        "body": message.body.decode(),
    }


def _sent(sent: Sent) -> dict[str, Any]:
    return _message(sent.message) | {
        "id": sent.id,
        "attempt": sent.attempt,
        "status": sent.status,
        "error": sent.error,
        "at_ms": sent.at_ms,
    }


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
