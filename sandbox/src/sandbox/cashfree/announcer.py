"""Makes signed webhooks of decided payments and refunds, with the faults in force, and passes them to the sender."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from sandbox.cashfree import webhooks
from sandbox.cashfree.domain import Order, Payment, Refund
from sandbox.cashfree.entities import TRUTH, Report
from sandbox.clock import now, now_ms
from sandbox.delivery import Message, Sender
from sandbox.faults import Faults, Rule, Subject
from sandbox.settings import Settings


class Announcer:
    """Decides where a webhook goes, which secret signs it and which faults apply to it."""

    def __init__(self, settings: Settings, sender: Sender, faults: Faults, random: Random) -> None:
        self._default_url = settings.webhook_url
        self._secret = settings.signing_secret
        self._version = settings.webhook_version
        self._sender = sender
        self._faults = faults
        self._random = random

    def payment(self, order: Order, payment: Payment) -> list[Message]:
        """Announce a decided payment; returns what was passed to the sender."""
        return self._announce(self.payment_messages(order, payment))

    def refund(self, order: Order, refund: Refund) -> None:
        """Announce a refund."""
        event = webhooks.AUTO_REFUND_EVENT if refund.is_automatic else webhooks.REFUND_EVENT
        rules = self._fired(order, event)
        render = webhooks.auto_refund_body if refund.is_automatic else webhooks.refund_body
        body = render(refund, now(), self._version, report_of(rules))
        self._announce([(self._signed(order, event, body, rules), rules)])

    def dispute(self, order: Order, event: str, data: dict[str, Any]) -> None:
        """Announce what became of a dispute."""
        rules = self._fired(order, event)
        body = webhooks.envelope(data, now(), event)
        self._announce([(self._signed(order, event, body, rules), rules)])

    def settlement(self, event: str, data: dict[str, Any], notify_url: str) -> None:
        """Announce what became of a settlement, to the account's URL or else to that of one of its orders."""
        rules = self._faults.fire("webhook", Subject("", "", event))
        body = webhooks.envelope(data, now(), event)
        message = Message(event, "", self._default_url or notify_url, body, self._headers(body))
        self._announce([(message, rules)])

    def payment_messages(self, order: Order, payment: Payment) -> list[tuple[Message, Sequence[Rule]]]:
        """The webhook of a decided payment with the faults that apply to it."""
        event = webhooks.EVENTS[payment.status]
        rules = self._fired(order, event)
        body = webhooks.payment_body(order, payment, now(), self._version, report_of(rules))
        return [(self._signed(order, event, body, rules), rules)]

    async def payment_and_wait(self, order: Order, payment: Payment) -> list[int]:
        """Announce a decided payment and wait for the receiver's answers."""
        messages = []
        for message, rules in self.payment_messages(order, payment):
            copies, _ = self._plan(message, rules)
            messages += [message] * copies
        return list(await asyncio.gather(*(self._sender.deliver(message) for message in messages)))

    def ping(self, url: str) -> Message:
        """The dashboard's endpoint test, to *url*."""
        body = webhooks.ping_body(now())
        message = Message(webhooks.PING_EVENT, "", url, body, self._headers(body))
        self._sender.send(message)
        return message

    def signed_again(self, message: Message) -> Message:
        """The same body with a new timestamp and signature, as a resend from the dashboard carries."""
        return Message(message.event, message.order_id, message.url, message.body, self._headers(message.body))

    def _fired(self, order: Order, event: str) -> Sequence[Rule]:
        return self._faults.fire("webhook", Subject(order.order_id, order.customer_id, event))

    def _headers(self, body: bytes) -> dict[str, str]:
        return webhooks.headers(self._secret, self._version, now_ms(), body)

    def _signed(self, order: Order, event: str, body: bytes, rules: Sequence[Rule]) -> Message:
        headers = self._headers(body)
        for rule in rules:
            if rule.action == "bad_signature":
                timestamp = headers["x-webhook-timestamp"]
                headers["x-webhook-signature"] = webhooks.sign(f"not {self._secret}", timestamp, body)
            elif rule.action == "alter_body":
                body = body.replace(order.order_id.encode(), order.order_id.encode() + b"0")
        return Message(event, order.order_id, order.notify_url or self._default_url, body, headers)

    def _announce(self, pairs: list[tuple[Message, Sequence[Rule]]]) -> list[Message]:
        sent = []
        for message, rules in pairs:
            copies, delay_ms = self._plan(message, rules)
            for _ in range(copies):
                self._sender.send(message, delay_ms)
                sent.append(message)
        return sent

    def _plan(self, message: Message, rules: Sequence[Rule]) -> tuple[int, int]:
        """How many copies, and after how many milliseconds."""
        if not message.url:
            return 0, 0
        copies, delay_ms = 1, 0
        for rule in rules:
            if rule.action == "duplicate":
                copies = max(copies, rule.times)
            elif rule.action == "delay":
                delay_ms += rule.delay_ms
            elif rule.action == "reorder":
                delay_ms += self._random.randint(0, rule.window_ms)
            elif rule.action == "drop":
                self._sender.record_dropped(message, "dropped by a fault")
                return 0, 0
        return copies, delay_ms


def report_of(rules: Sequence[Rule]) -> Report:
    """What wrong amount or currency the rules make the gateway report."""
    if not rules:
        return TRUTH
    amount_paise = next((rule.amount_paise for rule in rules if rule.action == "wrong_amount"), None)
    currency = next((rule.currency for rule in rules if rule.action == "wrong_currency"), None)
    return Report(amount_paise, currency)
