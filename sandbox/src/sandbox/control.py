"""The part of the control API that every gateway has alike: faults, webhooks, quotas, counts, starting over."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.delivery import Message, Sender, Sent
from sandbox.faults import Faults, Rule
from sandbox.idempotency import Idempotency
from sandbox.outcomes import Outcome
from sandbox.quotas import Quotas

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
    """*fresh*: signed again; otherwise the very bytes and headers again. *times* copies."""

    fresh: bool = True
    times: int = 1


class QuotaCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = True
    limits: dict[str, int] | None = None


class ResetCommand(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    seed: int | None = None


class SharedControl:
    """What a test may do to any gateway.

    *quotas_usual* are the limits of a command that names none, *signed_again* signs a webhook anew, *name_of* makes of
    an order's id the name under which faults and webhooks know it, *orders* counts orders, and *forget* makes the
    gateway forget everything of its own and set the seed, if one is given.
    """

    def __init__(
        self,
        sender: Sender,
        faults: Faults,
        quotas: Quotas,
        idempotency: Idempotency,
        *,
        quotas_usual: Mapping[str, int],
        signed_again: Callable[[Message], Message],
        name_of: Callable[[str], str],
        orders: Callable[[], int],
        forget: Callable[[int | None], None],
    ) -> None:
        self._sender = sender
        self._faults = faults
        self._quotas = quotas
        self._idempotency = idempotency
        self._quotas_usual = quotas_usual
        self._signed_again = signed_again
        self._name_of = name_of
        self._orders = orders
        self._forget = forget

    def routes(self) -> list[Route]:
        """The paths under the gateway's control."""
        return [
            Route("/orders/{order_id}/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/faults/{fault_id:int}", self.remove_fault, methods=["DELETE"]),
            Route("/webhooks", self.webhooks, methods=["GET"]),
            Route("/webhooks/{sent_id:int}/resend", self.resend, methods=["POST"]),
            Route("/quotas", self.set_quotas, methods=["PUT"]),
            Route("/stats", self.stats, methods=["GET"]),
            Route("/reset", self.reset, methods=["POST"]),
        ]

    async def add_fault(self, request: Request) -> Response:
        """Put a rule in force; under an order's path it is about that order, which need not exist yet."""
        rule = await command_of(request, Rule)
        rule.order_id = self._name_of(request.path_params.get("order_id", rule.order_id))
        return json(self._faults.add(rule), 201)

    async def list_faults(self, _: Request) -> Response:
        """Every rule in force."""
        return json({"faults": self._faults.all()})

    async def clear_faults(self, _: Request) -> Response:
        """Remove every rule."""
        self._faults.clear()
        return json({"faults": []})

    async def remove_fault(self, request: Request) -> Response:
        """Remove one rule."""
        removed = self._faults.remove(request.path_params["fault_id"])
        return json({"removed": removed}, 200 if removed else 404)

    async def webhooks(self, request: Request) -> Response:
        """What was sent, newest first, by ?order_id=, ?type= and ?limit=, with raw bodies and headers."""
        query = request.query_params
        limit = min(int(query.get("limit", "100")), _LISTED_MAX)
        order_id = self._name_of(query["order_id"]) if "order_id" in query else None
        listed = []
        for sent in reversed(self._sender.log):
            if order_id not in (None, sent.message.order_id):
                continue
            if query.get("type", sent.message.event) != sent.message.event:
                continue
            listed.append(_sent(sent))
            if len(listed) >= limit:
                break
        return json({"webhooks": listed, "pending": self._sender.pending})

    async def resend(self, request: Request) -> Response:
        """Send a webhook from the log again."""
        command = await command_of(request, Resend)
        sent = next((it for it in self._sender.log if it.id == request.path_params["sent_id"]), None)
        if sent is None:
            return json({"message": "not in the log"}, 404)
        message = self._signed_again(sent.message) if command.fresh else sent.message
        for _ in range(command.times):
            self._sender.send(message)
        return json(described(message), 202)

    async def set_quotas(self, request: Request) -> Response:
        """Turn quotas on (the gateway's usual ones, or limits per minute and operation) or off."""
        command = await command_of(request, QuotaCommand)
        limits = self._quotas_usual if command.limits is None else command.limits
        self._quotas.set(dict(limits) if command.enabled else {})
        return json({"limits": self._quotas.limits})

    async def stats(self, _: Request) -> Response:
        """Counts since the start, and how long the receivers of webhooks took to answer."""
        sender = self._sender
        return json(
            {
                "orders": self._orders(),
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
        command = await command_of(request, ResetCommand)
        self._forget(command.seed)
        self._sender.cancel_waiting()
        self._sender.log.clear()
        self._faults.clear()
        self._idempotency.clear()
        self._quotas.set({})
        return json({"reset": True})


async def command_of(request: Request, kind: type[T]) -> T:
    """The command in a request's body; an empty body is one without fields. Raises MsgspecError."""
    return msgspec.json.decode(await request.body() or b"{}", type=kind)


def json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def described(message: Message) -> dict[str, Any]:
    """A webhook as the control API shows it."""
    return {
        "type": message.event,
        "order_id": message.order_id,
        "url": message.url,
        "headers": message.headers,
        "body": message.body.decode(),
    }


def _sent(sent: Sent) -> dict[str, Any]:
    return described(sent.message) | {
        "id": sent.id,
        "attempt": sent.attempt,
        "status": sent.status,
        "error": sent.error,
        "at_ms": sent.at_ms,
    }
