"""The operations on orders, payments, refunds and disputes."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

from sandbox.razorpay import entities, errors, requests
from sandbox.razorpay.calls import Call
from sandbox.razorpay.disputes import Disputes
from sandbox.razorpay.domain import Dispute, Order, Payment, PaymentStatus, Refund, Settlement
from sandbox.razorpay.refunds import Refunds
from sandbox.razorpay.simulator import Simulator

Timed = TypeVar("Timed", Order, Payment, Refund, Dispute, Settlement)


class Operations:
    """What a merchant's server may ask for, by name."""

    def __init__(self, simulator: Simulator, refunds: Refunds, disputes: Disputes) -> None:
        self._simulator = simulator
        self._orders = simulator.orders
        self._refunds = refunds
        self._disputes = disputes

    def by_name(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {
            "create_order": self._create_order,
            "get_orders": self._get_orders,
            "get_order": self._get_order,
            "change_order": self._change_order,
            "get_payments": self._get_payments,
            "get_all_payments": self._get_all_payments,
            "get_payment": self._get_payment,
            "change_payment": self._change_payment,
            "get_card": self._get_card,
            "capture_payment": self._capture_payment,
            "create_refund": self._create_refund,
            "get_refunds": self._get_refunds,
            "get_refund_of_payment": self._get_refund_of_payment,
            "get_all_refunds": self._get_all_refunds,
            "get_refund": self._get_refund,
            "change_refund": self._change_refund,
            "get_disputes": self._get_disputes,
            "get_dispute": self._get_dispute,
            "accept_dispute": self._accept_dispute,
            "contest_dispute": self._contest_dispute,
        }

    # -- orders

    def _create_order(self, call: Call) -> dict[str, Any]:
        order = self._simulator.create_order(call.own, requests.new_order(call.payload, call.own))
        return entities.order(order, call.report)

    def _get_orders(self, call: Call) -> dict[str, Any]:
        receipt, authorized = call.query.get("receipt"), call.query.get("authorized")
        found = self._orders.of_receipt(call.own, receipt) if receipt else self._orders.newest(call.own)
        if authorized in ("0", "1"):
            found = (it for it in found if _is_authorized(it) == (authorized == "1"))
        return entities.collection([self._order(call, it) for it in page(call, found)])

    def _get_order(self, call: Call) -> dict[str, Any]:
        return self._order(call, self._orders.order(call.own, call.item_id))

    def _change_order(self, call: Call) -> dict[str, Any]:
        order = self._orders.order(call.own, call.item_id)
        order.notes = requests.notes_in(call.payload)
        return self._order(call, order)

    def _get_payments(self, call: Call) -> dict[str, Any]:
        order = self._orders.order(call.own, call.item_id)
        return entities.collection([entities.payment(order, it, call.report) for it in order.payments])

    def _order(self, call: Call, order: Order) -> dict[str, Any]:
        return entities.order(order, call.report, with_payments="payments" in call.expanded)

    # -- payments

    def _get_all_payments(self, call: Call) -> dict[str, Any]:
        found = page(call, (payment for _, payment in self._orders.newest_payments(call.own)))
        return entities.collection([entities.payment(*self._orders.payment(it.id), call.report) for it in found])

    def _get_payment(self, call: Call) -> dict[str, Any]:
        return entities.payment(*self._orders.payment(call.item_id, call.own), call.report)

    def _change_payment(self, call: Call) -> dict[str, Any]:
        order, payment = self._orders.payment(call.item_id, call.own)
        payment.notes = requests.notes_in(call.payload)
        return entities.payment(order, payment, call.report)

    def _get_card(self, call: Call) -> dict[str, Any]:
        _, payment = self._orders.payment(call.item_id, call.own)
        if payment.method.kind != "card":
            raise errors.unknown_id()
        return entities.card(payment)

    def _capture_payment(self, call: Call) -> dict[str, Any]:
        order, payment = self._orders.payment(call.item_id, call.own)
        amount = requests.amount_in(call.payload)
        if amount is None:
            raise errors.missing("amount")
        currency = call.payload.get("currency")
        if not isinstance(currency, str):
            raise errors.missing("currency")
        self._simulator.capture(order, payment, amount, currency)
        return entities.payment(order, payment, call.report)

    # -- refunds

    def _create_refund(self, call: Call) -> dict[str, Any]:
        order, payment = self._orders.payment(call.item_id, call.own)
        refund = self._refunds.create(order, payment, requests.new_refund(call.payload))
        return entities.refund(refund, call.report)

    def _get_refunds(self, call: Call) -> dict[str, Any]:
        _, payment = self._orders.payment(call.item_id, call.own)
        return entities.collection([entities.refund(it, call.report) for it in page(call, reversed(payment.refunds))])

    def _get_refund_of_payment(self, call: Call) -> dict[str, Any]:
        _, payment = self._orders.payment(call.item_id, call.own)
        _, own, refund = self._orders.refund(call.part_id, call.own)
        if own is not payment:
            raise errors.unknown_id()
        return entities.refund(refund, call.report)

    def _get_all_refunds(self, call: Call) -> dict[str, Any]:
        found = page(call, self._orders.newest_refunds(call.own))
        return entities.collection([entities.refund(it, call.report) for it in found])

    def _get_refund(self, call: Call) -> dict[str, Any]:
        _, _, refund = self._orders.refund(call.item_id, call.own)
        return entities.refund(refund, call.report)

    def _change_refund(self, call: Call) -> dict[str, Any]:
        _, _, refund = self._orders.refund(call.item_id, call.own)
        refund.notes = requests.notes_in(call.payload)
        return entities.refund(refund, call.report)

    # -- disputes

    def _get_disputes(self, call: Call) -> dict[str, Any]:
        found = page(call, self._orders.newest_disputes(call.own))
        return entities.collection([entities.dispute(it) for it in found])

    def _get_dispute(self, call: Call) -> dict[str, Any]:
        return entities.dispute(self._orders.dispute(call.item_id, call.own)[2])

    def _accept_dispute(self, call: Call) -> dict[str, Any]:
        order, payment, dispute = self._orders.dispute(call.item_id, call.own)
        self._disputes.accept(order, payment, dispute)
        return entities.dispute(dispute)

    def _contest_dispute(self, call: Call) -> dict[str, Any]:
        order, payment, dispute = self._orders.dispute(call.item_id, call.own)
        amount, summary = requests.amount_in(call.payload), call.payload.get("summary")
        if summary is not None and not isinstance(summary, str):
            raise errors.invalid("summary", "The summary must be a string.")
        submits = call.payload.get("action", "draft") == "submit"
        self._disputes.contest(order, payment, dispute, amount=amount, summary=summary, submits=submits)
        return entities.dispute(dispute)


def page(call: Call, newest: Iterable[Timed]) -> list[Timed]:
    """The part of what is *newest* first that a query asks for; raises Refused."""
    wanted = requests.page(call.query)
    found = (it for it in newest if wanted.start <= it.created_at <= wanted.end)
    return list(islice(found, wanted.skip, wanted.skip + wanted.count))


def _is_authorized(order: Order) -> bool:
    return any(it.status in (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED) for it in order.payments)
