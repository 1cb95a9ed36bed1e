"""The operation of a request, by its method and path."""

from typing import Any

import msgspec

from sandbox.answers import Answer
from sandbox.faults import TRUTH, Garbage, Report
from sandbox.razorpay import errors
from sandbox.razorpay.accounts import Account


class Call(msgspec.Struct):
    """One request while it is handled. *item_id* is the id in its path, *part_id* the second one."""

    operation: str
    method: str
    path: str
    body: bytes
    item_id: str = ""
    part_id: str = ""
    query: dict[str, str] = {}
    expanded: frozenset[str] = frozenset()
    payload: dict[str, Any] = {}
    account: Account | None = None
    report: Report = TRUTH
    garbage: Garbage | None = None
    own_answer: Answer | None = None  # what the operation answered, whether or not it reaches the caller

    @property
    def own(self) -> Account:
        """The account that calls."""
        assert self.account is not None, "a call is admitted before it is performed"
        return self.account


# Method, and path below /razorpay/v1 with {} for an id; to one operation each.
_PATHS = {
    ("POST", "orders"): "create_order",
    ("GET", "orders"): "get_orders",
    ("GET", "orders/{}"): "get_order",
    ("PATCH", "orders/{}"): "change_order",
    ("GET", "orders/{}/payments"): "get_payments",
    ("GET", "payments"): "get_all_payments",
    ("GET", "payments/{}"): "get_payment",
    ("PATCH", "payments/{}"): "change_payment",
    ("GET", "payments/{}/card"): "get_card",
    ("POST", "payments/{}/capture"): "capture_payment",
    ("POST", "payments/{}/refund"): "create_refund",
    ("GET", "payments/{}/refunds"): "get_refunds",
    ("GET", "payments/{}/refunds/{}"): "get_refund_of_payment",
    ("GET", "refunds"): "get_all_refunds",
    ("GET", "refunds/{}"): "get_refund",
    ("PATCH", "refunds/{}"): "change_refund",
    ("GET", "disputes"): "get_disputes",
    ("GET", "disputes/{}"): "get_dispute",
    ("POST", "disputes/{}/accept"): "accept_dispute",
    ("PATCH", "disputes/{}/contest"): "contest_dispute",
    ("GET", "settlements"): "get_settlements",
    ("GET", "settlements/recon/combined"): "get_settlement_rows",
    ("GET", "settlements/{}"): "get_settlement",
}
# What a fault rule calls the operation, where that is another word.
FAULT_NAMES = {
    "get_all_payments": "get_payments",
    "get_card": "get_payment",
    "get_refund_of_payment": "get_refund",
    "get_all_refunds": "get_refunds",
}
_WORDS = frozenset(word for _, path in _PATHS for word in path.split("/"))


def read(method: str, path: str, body: bytes) -> Call:
    """The operation that a method and a path name; raises Refused."""
    parts = path.removeprefix("/razorpay/v1/").split("/")
    ids = [part for part in parts if part not in _WORDS]
    operation = _PATHS.get((method, "/".join(part if part in _WORDS else "{}" for part in parts)))
    if operation is None:
        raise errors.bad_url()
    item_id, part_id = [*ids, "", ""][:2]
    return Call(operation, method, path, body, item_id, part_id)
