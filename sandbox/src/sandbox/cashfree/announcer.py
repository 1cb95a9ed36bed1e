"""Makes signed webhooks of decided payments and refunds, with the faults in force, and passes them to the sender."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sandbox.cashfree import webhooks
from sandbox.cashfree.accounts import Account, Accounts
from sandbox.cashfree.domain import Order, Payment, Refund
from sandbox.clock import now, now_ms
from sandbox.delivery import Message
from sandbox.dispatch import Dispatch, Signed
from sandbox.faults import Faults, Rule, Subject, report_of


class Announcer:
    """Decides where a webhook goes, which secret signs it and which faults apply to it."""

    def __init__(self, accounts: Accounts, version: str, dispatch: Dispatch, faults: Faults) -> None:
        self._accounts = accounts
        self._version = version
        self._dispatch = dispatch
        self._faults = faults

    def payment(self, order: Order, payment: Payment) -> None:
        """Announce a decided payment."""
        self._dispatch.send([self._payment(order, payment)])

    def refund(self, order: Order, refund: Refund) -> None:
        """Announce a refund."""
        event = webhooks.AUTO_REFUND_EVENT if refund.is_automatic else webhooks.REFUND_EVENT
        rules = self._fired(order, event)
        render = webhooks.auto_refund_body if refund.is_automatic else webhooks.refund_body
        body = render(refund, now(), self._version, report_of(rules))
        self._dispatch.send([self._signed(order, event, body, rules)])

    def dispute(self, order: Order, event: str, data: dict[str, Any]) -> None:
        """Announce what became of a dispute."""
        rules = self._fired(order, event)
        body = webhooks.envelope(data, now(), event)
        self._dispatch.send([self._signed(order, event, body, rules)])

    def settlement(self, account: Account, event: str, data: dict[str, Any], notify_url: str) -> None:
        """Announce what became of a settlement, to the account's URL or else to that of one of its orders."""
        rules = self._faults.fire("webhook", Subject("", "", event))
        body = webhooks.envelope(data, now(), event)
        message = Message(event, "", account.webhook_url or notify_url, body, self._headers(account, body), account.key)
        self._dispatch.send([Signed(message, rules)])

    async def payment_and_wait(self, order: Order, payment: Payment) -> list[int]:
        """Announce a decided payment and wait for the receiver's answers."""
        return await self._dispatch.send_and_wait([self._payment(order, payment)])

    def ping(self, url: str) -> Message:
        """The dashboard's endpoint test of the first account, to *url*."""
        account, body = self._accounts.first, webhooks.ping_body(now())
        message = Message(webhooks.PING_EVENT, "", url, body, self._headers(account, body), account.key)
        self._dispatch.send([Signed(message)])
        return message

    def signed_again(self, message: Message) -> Message:
        """The same body with a new timestamp and signature, as a resend from the dashboard carries."""
        account = self._accounts.find(message.signer) or self._accounts.first
        return msgspec.structs.replace(message, headers=self._headers(account, message.body))

    def _payment(self, order: Order, payment: Payment) -> Signed:
        event = webhooks.EVENTS[payment.status]
        rules = self._fired(order, event)
        body = webhooks.payment_body(order, payment, now(), self._version, report_of(rules))
        return self._signed(order, event, body, rules)

    def _fired(self, order: Order, event: str) -> Sequence[Rule]:
        return self._faults.fire("webhook", Subject(order.order_id, order.customer_id, event))

    def _headers(self, account: Account, body: bytes) -> dict[str, str]:
        return webhooks.headers(account.signing_secret, self._version, now_ms(), body)

    def _signed(self, order: Order, event: str, body: bytes, rules: Sequence[Rule]) -> Signed:
        account = order.account
        headers = self._headers(account, body)
        for rule in rules:
            if rule.action == "bad_signature":
                timestamp = headers["x-webhook-timestamp"]
                headers["x-webhook-signature"] = webhooks.sign(f"not {account.signing_secret}", timestamp, body)
            elif rule.action == "alter_body":
                body = body.replace(order.order_id.encode(), order.order_id.encode() + b"0")
        url = order.notify_url or account.webhook_url
        return Signed(Message(event, order.order_id, url, body, headers, account.key), rules)
