"""Makes signed webhooks of what happened, with the faults in force, as snapshots of that moment."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sandbox.clock import now
from sandbox.delivery import Message
from sandbox.dispatch import Dispatch, Signed
from sandbox.faults import Faults, Rule, Subject, report_of
from sandbox.razorpay import entities, webhooks
from sandbox.razorpay.accounts import Account, Accounts
from sandbox.razorpay.domain import Dispute, Order, Payment, Refund


class Announcer:
    """Decides which events an account gets, which secret signs them and which faults apply to them."""

    def __init__(self, accounts: Accounts, dispatch: Dispatch, faults: Faults) -> None:
        self._accounts = accounts
        self._faults = faults
        self._dispatch = dispatch
        self.send = dispatch.send
        self.send_and_wait = dispatch.send_and_wait

    def payment(self, event: str, order: Order, payment: Payment) -> list[Signed]:
        """payment.authorized, payment.captured or payment.failed, as the payment is now."""
        rules = self._fired(order, event)
        entity = entities.payment(order, payment, report_of(rules))
        return self._signed(order, event, {"payment": entity}, rules)

    def order_paid(self, order: Order, payment: Payment) -> list[Signed]:
        """order.paid."""
        rules = self._fired(order, "order.paid")
        report = report_of(rules)
        about = {"payment": entities.payment(order, payment, report), "order": entities.order(order, report)}
        return self._signed(order, "order.paid", about, rules)

    def refund(self, event: str, order: Order, payment: Payment, refund: Refund) -> None:
        """refund.created, refund.processed, refund.failed or refund.speed_changed."""
        rules = self._fired(order, event)
        about = {
            "refund": entities.refund(refund, report_of(rules)),
            "payment": entities.payment(order, payment),
        }
        self.send(self._signed(order, event, about, rules))

    def dispute(self, event: str, order: Order, payment: Payment, dispute: Dispute) -> None:
        """payment.dispute.… of what became of a dispute."""
        about = {"payment": entities.payment(order, payment), "dispute": entities.dispute(dispute)}
        self.send(self._signed(order, event, about, self._fired(order, event)))

    def settlement(self, account: Account, entity: dict[str, Any]) -> None:
        """settlement.processed."""
        event = "settlement.processed"
        rules = self._faults.fire("webhook", Subject("", "", event))
        content = webhooks.body(account, event, {"settlement": entity}, now())
        headers = webhooks.headers(account, content)
        message = Message(event, "", account.webhook_url, content, headers, account.key)
        if not account.events or event in account.events:
            self.send([Signed(message, rules)])

    def signed_again(self, message: Message) -> Message:
        """The same body and event id under the account's current secret, as a replay from the dashboard has."""
        account = self._accounts.of_key(message.signer)
        headers = webhooks.headers(account, message.body, message.headers[webhooks.EVENT_ID])
        return msgspec.structs.replace(message, url=account.webhook_url, headers=headers)

    def _fired(self, order: Order, event: str) -> Sequence[Rule]:
        return self._faults.fire("webhook", Subject(order.name, order.customer_id, event))

    def _signed(
        self, order: Order, event: str, about: dict[str, dict[str, Any]], rules: Sequence[Rule]
    ) -> list[Signed]:
        account = order.account
        if account.events and event not in account.events:
            return []
        content = webhooks.body(account, event, about, now())
        headers = webhooks.headers(account, content)
        for rule in rules:
            if rule.action == "bad_signature":
                headers[webhooks.SIGNATURE] = webhooks.sign(f"not {account.webhook_secret}", content)
            elif rule.action == "alter_body":
                content = content.replace(order.id.encode(), order.id.encode() + b"0")
        return [Signed(Message(event, order.name, account.webhook_url, content, headers, account.key), rules)]
