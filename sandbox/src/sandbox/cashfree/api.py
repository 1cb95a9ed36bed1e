"""The API under /pg: version, credentials, quota, idempotency and faults around every operation."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from sandbox.answers import JSON, RESET, Answer, Reset, apply_after, apply_before, read
from sandbox.cashfree import calls, entities, errors, methods, requests
from sandbox.cashfree.accounts import Accounts
from sandbox.cashfree.afterwards import Afterwards
from sandbox.cashfree.calls import Call
from sandbox.cashfree.domain import RefundStatus
from sandbox.cashfree.errors import Refused
from sandbox.cashfree.refunds import Refunds
from sandbox.cashfree.simulator import Simulator
from sandbox.clock import now
from sandbox.connections import reset
from sandbox.faults import Faults, Rule, Subject, from_tags, report_of
from sandbox.garbage import garbled
from sandbox.idempotency import Idempotency
from sandbox.outcomes import PAID_ON_CREATE_PAISE, Outcome
from sandbox.quotas import UNLIMITED, Allowance, Quotas
from sandbox.settings import Settings

VERSIONS = frozenset({"2023-08-01", "2025-01-01", "2026-01-01"})
# What a garbled answer may say a second time.
_PAID = b'"order_amount":1.00,"order_status":"PAID"'


class Api:
    """The ASGI application behind /pg."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        simulator: Simulator,
        refunds: Refunds,
        afterwards: Afterwards,
        faults: Faults,
        quotas: Quotas,
        idempotency: Idempotency,
    ) -> None:
        self._accounts = accounts
        self._base_url = settings.base_url
        self._simulator = simulator
        self._orders = simulator.orders
        self._refunds = refunds
        self._faults = faults
        self._quotas = quotas
        self._idempotency = idempotency
        self._operations: dict[str, Callable[[Call], bytes]] = {
            "create_order": self._create_order,
            "get_order": self._get_order,
            "terminate_order": self._terminate_order,
            "get_payments": self._get_payments,
            "get_payment": self._get_payment,
            "pay_order": self._pay_order,
            "create_refund": self._create_refund,
            "get_refund": self._get_refund,
            "get_refunds": self._get_refunds,
            "cancel_refund": self._cancel_refund,
            **afterwards.operations(),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body = await read(receive)
        allowance, replayed, by_address = UNLIMITED, False, False
        try:
            call = calls.read(scope["method"], scope["path"], body)
            by_address = call.open
            self._admit(call, headers)
            allowance = self._quotas.take(call.operation)
            if allowance.retry_seconds:
                raise errors.too_many_requests()
            answer, replayed = await self._answer(
                call, headers.get(b"x-idempotency-key", b"").decode("latin-1"), receive
            )
            if call.garbage is not None and answer.status == 200:
                answer = garbled(call.garbage, answer, _PAID)
        except Refused as refusal:
            answer = Answer(refusal.status, refusal.body())
        if answer is RESET:
            await reset(scope, receive)
            return
        await _send(send, answer, headers, allowance, replayed=replayed, by_address=by_address)

    def _admit(self, call: Call, headers: dict[bytes, bytes]) -> None:
        version = headers.get(b"x-api-version", b"").decode("latin-1")
        if not version:
            raise errors.version_missing()
        if version not in VERSIONS:
            raise errors.version_invalid(version)
        if not call.open:
            credentials = headers.get(b"x-client-id", b""), headers.get(b"x-client-secret", b"")
            call.account = self._accounts.admitted(*credentials)

    async def _answer(self, call: Call, key: str, receive: Receive) -> tuple[Answer, bool]:
        """The answer, and whether it is a replay. Keys count on authenticated POST calls only."""
        if not key or call.method != "POST" or call.open:
            return await self._perform(call, receive), False
        key = f"{call.own.app_id} {key}"
        first = self._idempotency.claim(key, call.path, call.body)
        if first is not None:
            return await asyncio.shield(first), True
        answer = Answer(500, errors.broken(500).body())
        try:
            answer = await self._perform(call, receive)
        finally:
            self._idempotency.settle(key, answer, call.own_answer)
        return answer, False

    async def _perform(self, call: Call, receive: Receive) -> Answer:
        try:
            rules = self._faults.fire(call.operation, self._subject(call))
            await apply_before(rules, receive, errors.broken)
            call.report = report_of(rules)
            call.garbage = next((rule.garbage for rule in rules if rule.action == "garble"), None)
            body = self._operations[call.operation](call)
            if call.operation == "create_order" and await self._paid_on_create(call.order_id, rules):
                body = self._get_order(call)
            call.own_answer = Answer(200, body)
            await apply_after(rules, receive, errors.broken)
            return call.own_answer
        except Reset:
            return RESET
        except Refused as refusal:
            return Answer(refusal.status, refusal.body())

    def _subject(self, call: Call) -> Subject:
        """What fault rules are matched against; the body is read here, so that a rule can name its order."""
        if call.method in ("POST", "PATCH", "PUT") and call.operation != "accept_dispute":
            call.payload = requests.json_object(call.body)
        if call.operation != "create_order":
            if call.operation == "pay_order":
                call.order_id = self._orders.of_session(call.payload.get("payment_session_id")).order_id
            order = self._orders.find(call.order_id)
            return Subject(call.order_id, order.customer_id if order else "")
        customer, tags = call.payload.get("customer_details"), call.payload.get("order_tags")
        order_id = call.payload.get("order_id")
        if isinstance(tags, dict) and isinstance(order_id, str) and self._orders.find(order_id) is None:
            self._rules_of_tags(tags, order_id)
        customer_id = customer.get("customer_id") if isinstance(customer, dict) else ""
        return Subject(str(order_id or ""), str(customer_id))

    def _rules_of_tags(self, tags: dict[str, Any], order_id: str) -> None:
        if not isinstance(tags.get("sandbox_faults", ""), str):
            return
        try:
            rules = from_tags(tags, order_id)
        except (ValueError, msgspec.ValidationError) as problem:
            raise errors.invalid("order_tags", f"sandbox_faults: {problem}", tags["sandbox_faults"]) from problem
        if not self._faults.has_seen(order_id):  # a repeated create must not add them again
            for rule in rules:
                self._faults.add(rule)

    async def _paid_on_create(self, order_id: str, rules: Sequence[Rule]) -> bool:
        """Whether the order was paid, and its webhook answered, before its creator gets the response."""
        order = self._orders.order(order_id)
        rule = next((rule for rule in rules if rule.action == "pay_on_create"), None)
        if rule is None and order.amount_paise != PAID_ON_CREATE_PAISE:
            return False
        outcome = Outcome(rule.outcome) if rule else Outcome.SUCCESS
        await self._simulator.pay_and_wait(order, methods.upi(), outcome)
        return True

    # -- operations

    def _create_order(self, call: Call) -> bytes:
        order = self._simulator.create_order(call.own, requests.new_order(call.payload, now()))
        call.order_id = order.order_id
        return entities.order(order, call.report)

    def _get_order(self, call: Call) -> bytes:
        return entities.order(self._orders.order(call.order_id, call.account), call.report)

    def _terminate_order(self, call: Call) -> bytes:
        order = self._orders.order(call.order_id, call.account)
        if call.payload.get("order_status") != "TERMINATED":
            raise errors.invalid("order_status", "should be TERMINATED", call.payload.get("order_status"))
        self._simulator.terminate(order)
        return entities.order(order, call.report)

    def _get_payments(self, call: Call) -> bytes:
        return entities.payments(self._orders.order(call.order_id, call.account), call.report)

    def _get_payment(self, call: Call) -> bytes:
        return entities.payment(*self._orders.payment(call.order_id, call.item_id, call.account), call.report)

    def _pay_order(self, call: Call) -> bytes:
        order = self._orders.order(call.order_id, call.account)
        payment = self._simulator.pay(order, methods.read(call.payload.get("payment_method")))
        return entities.pay_order(payment, self._base_url, order.session_id)

    def _create_refund(self, call: Call) -> bytes:
        new = requests.new_refund(call.payload)
        return entities.refund(self._refunds.create(self._orders.order(call.order_id, call.account), new), call.report)

    def _get_refund(self, call: Call) -> bytes:
        return entities.refund(self._orders.refund(call.item_id, call.order_id, call.account)[1], call.report)

    def _get_refunds(self, call: Call) -> bytes:
        return entities.refunds(self._orders.order(call.order_id, call.account), call.report)

    def _cancel_refund(self, call: Call) -> bytes:
        order, refund = self._orders.refund(call.item_id, call.order_id, call.account)
        if call.payload.get("refund_status") != RefundStatus.CANCELLED:
            raise errors.invalid("refund_status", "should be CANCELLED", call.payload.get("refund_status"))
        self._refunds.cancel(order, refund)
        return entities.refund(refund, call.report)


async def _send(
    send: Send, answer: Answer, headers: dict[bytes, bytes], allowance: Allowance, *, replayed: bool, by_address: bool
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                *answer.headers,
                *([] if any(name == b"content-type" for name, _ in answer.headers) else [JSON]),
                (b"content-length", b"%d" % len(answer.body)),
                (b"x-api-version", headers.get(b"x-api-version", b"")),
                (b"x-request-id", headers.get(b"x-request-id", b"")),
                (b"x-idempotency-key", headers.get(b"x-idempotency-key", b"")),
                (b"x-idempotency-replayed", b"true" if replayed else b"false"),
                (b"x-ratelimit-limit", b"%d" % allowance.limit),
                (b"x-ratelimit-remaining", b"%d" % allowance.remaining),
                (b"x-ratelimit-retry", b"%d" % allowance.retry_seconds),
                (b"x-ratelimit-type", b"ip" if by_address else b"app_id"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})
