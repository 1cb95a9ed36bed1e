"""The API under /razorpay/v1: credentials, quota, idempotency of refunds, and faults around every operation."""

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from sandbox.answers import JSON, RESET, Answer, Reset, apply_after, apply_before, read
from sandbox.connections import reset
from sandbox.faults import Faults, Rule, Subject, from_tags, report_of
from sandbox.garbage import garbled
from sandbox.idempotency import Idempotency
from sandbox.outcomes import PAID_ON_CREATE_PAISE, Outcome
from sandbox.quotas import Quotas
from sandbox.razorpay import calls, entities, errors, methods, requests
from sandbox.razorpay.accounts import Accounts
from sandbox.razorpay.calls import FAULT_NAMES, Call
from sandbox.razorpay.errors import Refused
from sandbox.razorpay.order_registry import OrderRegistry
from sandbox.razorpay.simulator import Simulator

_KEY = re.compile(r"[A-Za-z0-9_-]{10,}")
# What a garbled answer may say a second time.
_PAID = b'"amount":100,"status":"paid"'
Operation = Callable[[Call], dict[str, Any]]


class Api:
    """The ASGI application behind /razorpay/v1; *operations* by their names."""

    def __init__(
        self,
        accounts: Accounts,
        orders: OrderRegistry,
        simulator: Simulator,
        faults: Faults,
        quotas: Quotas,
        idempotency: Idempotency,
        operations: dict[str, Operation],
    ) -> None:
        self._accounts = accounts
        self._orders = orders
        self._simulator = simulator
        self._faults = faults
        self._quotas = quotas
        self._idempotency = idempotency
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body = await read(receive)
        try:
            call = self._admitted(scope, headers, body)
            if self._quotas.take(call.operation).retry_seconds:
                raise errors.too_many_requests()
            key = headers.get(b"x-refund-idempotency", b"").decode("latin-1")
            answer = await self._answer(call, key if call.operation == "create_refund" else "", receive)
            if call.garbage is not None and answer.status == 200:
                answer = garbled(call.garbage, answer, _PAID)
        except Refused as refusal:
            answer = Answer(refusal.status, refusal.body())
        if answer is RESET:
            await reset(scope, receive)
        else:
            await _send(send, answer)

    def _admitted(self, scope: Scope, headers: dict[bytes, bytes], body: bytes) -> Call:
        account = self._accounts.admitted(headers.get(b"authorization", b""))
        call = calls.read(scope["method"], scope["path"], body)
        call.account = account
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        call.query = dict(pairs)
        call.expanded = frozenset(value for name, value in pairs if name.startswith("expand["))
        return call

    async def _answer(self, call: Call, key: str, receive: Receive) -> Answer:
        """The answer; only refunds have keys."""
        if not key:
            return await self._perform(call, receive)
        if _KEY.fullmatch(key) is None:
            raise errors.idempotency_key_invalid()
        own_key = f"{call.own.key_id} {key}"
        first = self._idempotency.claim(own_key, call.path, call.body)
        if first is not None:
            if not first.done():
                raise errors.still_in_progress()
            return first.result()
        answer = Answer(500, errors.broken(500).body())
        try:
            answer = await self._perform(call, receive)
        finally:
            self._idempotency.settle(own_key, answer, call.own_answer)
        return answer

    async def _perform(self, call: Call, receive: Receive) -> Answer:
        try:
            subject = self._subject(call)
            rules = self._faults.fire(FAULT_NAMES.get(call.operation, call.operation), subject)
            await apply_before(rules, receive, errors.broken)
            call.report = report_of(rules)
            call.garbage = next((rule.garbage for rule in rules if rule.action == "garble"), None)
            content = self._operations[call.operation](call)
            if call.operation == "create_order" and await self._paid_on_create(content["id"], rules):
                content = entities.order(self._orders.order(call.own, content["id"]), call.report)
            call.own_answer = Answer(200, msgspec.json.encode(content))
            await apply_after(rules, receive, errors.broken)
            return call.own_answer
        except Reset:
            return RESET
        except Refused as refusal:
            return Answer(refusal.status, refusal.body())

    def _subject(self, call: Call) -> Subject:
        """What fault rules are matched against: an order by its receipt, or else by its id."""
        if call.method != "GET":
            call.payload = requests.json_object(call.body)
        if call.operation != "create_order":
            order = self._orders.find_about(call.item_id or call.query.get("receipt", ""))
            return Subject(order.name, order.customer_id) if order else Subject(call.query.get("receipt", ""))
        receipt, notes = call.payload.get("receipt"), call.payload.get("notes")
        name = receipt if isinstance(receipt, str) else ""
        if not isinstance(notes, dict):
            return Subject(name)
        if name and isinstance(notes.get("sandbox_faults", ""), str) and not self._faults.has_seen(name):
            try:
                rules = from_tags(notes, name)
            except (ValueError, msgspec.ValidationError) as problem:
                raise errors.invalid("notes", f"sandbox_faults: {problem}") from problem
            for rule in rules:
                self._faults.add(rule)
        return Subject(name, str(notes.get("customer_id") or ""))

    async def _paid_on_create(self, order_id: str, rules: Sequence[Rule]) -> bool:
        """Whether the order was paid, and its webhooks answered, before its creator gets the response."""
        order = self._orders.named(order_id)
        rule = next((rule for rule in rules if rule.action == "pay_on_create"), None)
        if order.payments or (rule is None and order.amount != PAID_ON_CREATE_PAISE):
            return False
        await self._simulator.pay_and_wait(order, methods.upi(), Outcome(rule.outcome) if rule else Outcome.SUCCESS)
        return True


async def _send(send: Send, answer: Answer) -> None:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append(JSON)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
