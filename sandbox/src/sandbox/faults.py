"""Rules that make the simulator fail: on an operation, for an order or a customer, n times, with a probability."""

from collections.abc import Sequence
from random import Random
from typing import Literal

import msgspec

Action = Literal[
    # answers
    "error",  # refuse with *status*, nothing applied
    "apply_then_error",  # apply, then refuse with *status*
    "timeout",  # hold the connection for *delay_ms*, nothing applied
    "apply_then_timeout",  # apply, then hold the connection for *delay_ms*
    "reset",  # reset the connection, nothing applied
    "apply_then_reset",  # apply, then reset the connection
    "pay_on_create",  # pay with *outcome* and have the webhook answered before create_order returns
    # answers and webhooks
    "delay",  # by *delay_ms*
    "wrong_amount",  # report *amount_paise*
    "wrong_currency",  # report *currency*
    "garble",  # apply, then answer 200 with *garbage*
    # webhooks
    "duplicate",  # send it *times* in all
    "reorder",  # send it at a random moment within *window_ms*
    "drop",  # never send it
    "bad_signature",  # sign with another secret
    "alter_body",  # change the body after it was signed
]
Garbage = Literal["html", "truncated", "huge", "gzip_bomb", "duplicate_keys"]
Operation = Literal[
    "*",
    "create_order",
    "get_order",
    "get_orders",
    "change_order",
    "terminate_order",
    "get_payments",
    "get_payment",
    "capture_payment",
    "change_payment",
    "pay_order",
    "create_refund",
    "get_refund",
    "get_refunds",
    "change_refund",
    "cancel_refund",
    "get_settlements",
    "get_settlement",
    "get_settlement_rows",
    "get_order_settlement",
    "get_disputes",
    "get_dispute",
    "accept_dispute",
    "contest_dispute",
    "webhook",
]


class Subject(msgspec.Struct, frozen=True):
    """What rules are matched against: the order, customer and webhook type of an operation."""

    order_id: str = ""
    customer_id: str = ""
    event: str = ""


class Report(msgspec.Struct, frozen=True):
    """A wrong amount or currency that a fault makes the gateway report."""

    amount_paise: int | None = None
    currency: str | None = None

    def amount(self, paise: int) -> int:
        return paise if self.amount_paise is None else self.amount_paise


TRUTH = Report()


class Rule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault. Empty filters match everything; *count* None means without end."""

    action: Action
    operation: Operation = "*"
    id: int = 0
    order_id: str = ""
    customer_id: str = ""
    event: str = ""  # a webhook's type
    probability: float = 1.0
    count: int | None = None
    status: int = 500
    delay_ms: int = 30_000
    times: int = 2
    window_ms: int = 2_000
    amount_paise: int = 100
    currency: str = "USD"
    outcome: Literal["success", "failure", "user_dropped"] = "success"
    garbage: Garbage = "html"

    def matches(self, operation: str, subject: Subject) -> bool:
        """Whether this rule is about *operation* on *subject*."""
        return (
            self.operation in ("*", operation)
            and self.order_id in ("", subject.order_id)
            and self.customer_id in ("", subject.customer_id)
            and self.event in ("", subject.event)
        )


class Faults:
    """The rules in force. Rules of one order are kept apart, so that others pay nothing for them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._anywhere: list[Rule] = []
        self._by_order: dict[str, list[Rule]] = {}
        self._ids = 0

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force and number it."""
        self._ids += 1
        rule.id = self._ids
        (self._by_order.setdefault(rule.order_id, []) if rule.order_id else self._anywhere).append(rule)
        return rule

    def fire(self, operation: str, subject: Subject) -> Sequence[Rule]:
        """The rules that apply now; their counts go down."""
        if not self._anywhere and subject.order_id not in self._by_order:
            return ()
        candidates = [*self._anywhere, *self._by_order.get(subject.order_id, ())]
        fired = [
            rule
            for rule in candidates
            if rule.matches(operation, subject) and (rule.probability >= 1 or self._random.random() < rule.probability)
        ]
        for rule in fired:
            if rule.count is not None:
                rule.count -= 1
                if rule.count <= 0:
                    self.remove(rule.id)
        return fired

    def of_order(self, order_id: str) -> list[Rule]:
        """The rules of one order that are still in force."""
        return self._by_order.get(order_id, [])

    def has_seen(self, order_id: str) -> bool:
        """Whether the order ever had rules of its own."""
        return order_id in self._by_order

    def all(self) -> list[Rule]:
        """Every rule in force."""
        return [*self._anywhere, *(rule for rules in self._by_order.values() for rule in rules)]

    def remove(self, rule_id: int) -> bool:
        """Remove one rule; False if there is none of that number."""
        before = len(self.all())
        self._anywhere = [rule for rule in self._anywhere if rule.id != rule_id]
        for order_id, rules in self._by_order.items():
            # An empty list stays, so that an order whose rules are used up does not get them again.
            self._by_order[order_id] = [rule for rule in rules if rule.id != rule_id]
        return len(self.all()) < before

    def forget(self, order_id: str) -> None:
        """Remove the rules of an order."""
        self._by_order.pop(order_id, None)

    def clear(self) -> None:
        """Remove every rule."""
        self._anywhere.clear()
        self._by_order.clear()


def report_of(rules: Sequence[Rule]) -> Report:
    """What wrong amount or currency the rules make the gateway report."""
    if not rules:
        return TRUTH
    amount_paise = next((rule.amount_paise for rule in rules if rule.action == "wrong_amount"), None)
    currency = next((rule.currency for rule in rules if rule.action == "wrong_currency"), None)
    return Report(amount_paise, currency)


def from_tags(tags: dict[str, str], order_id: str) -> list[Rule]:
    """The rules in an order's own tags, as {"sandbox_faults": "webhook:duplicate:times=3,get_order:error"}.

    Raises ValueError on a rule that makes no sense.
    """
    rules = []
    for text in tags.get("sandbox_faults", "").split(","):
        if not text.strip():
            continue
        operation, action, *options = text.strip().split(":")
        fields: dict[str, str] = {"operation": operation, "action": action, "order_id": order_id}
        for option in options:
            name, _, value = option.partition("=")
            fields[name] = value
        rules.append(msgspec.convert(fields, Rule, strict=False))
    return rules
