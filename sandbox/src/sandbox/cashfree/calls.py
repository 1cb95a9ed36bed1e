"""The operation of a request, by its method and path."""

from typing import Any

import msgspec

from sandbox.answers import Answer
from sandbox.cashfree import errors
from sandbox.cashfree.accounts import Account
from sandbox.faults import TRUTH, Garbage, Report

# Cashfree's production defaults, calls a minute.
QUOTAS = {
    "create_order": 200,
    "get_order": 400,
    "terminate_order": 200,
    "get_payments": 100,
    "get_payment": 130,
    "pay_order": 100,
    "create_refund": 100,
    "get_refund": 30,
    "get_refunds": 30,
    "cancel_refund": 100,
    "get_settlements": 30,
    "get_settlement_rows": 30,
    "get_order_settlement": 30,
}


class Call(msgspec.Struct):
    """One request while it is handled."""

    operation: str
    method: str
    path: str
    body: bytes
    order_id: str = ""
    item_id: str = ""
    payload: dict[str, Any] = {}
    account: Account | None = None  # who calls, once it is admitted; nobody pays without
    report: Report = TRUTH
    garbage: Garbage | None = None
    own_answer: Answer | None = None  # what the operation answered, whether or not it reaches the caller

    @property
    def own(self) -> Account:
        """The account that calls."""
        assert self.account is not None, "a call is admitted before it is performed"
        return self.account

    @property
    def open(self) -> bool:
        """Whether it needs no credentials: the payment session is the credential."""
        return self.operation == "pay_order"


def read(method: str, path: str, body: bytes) -> Call:
    """The operation that a method and a path name; raises Refused."""
    match method, path.split("/")[2:]:
        case "POST", ["orders"]:
            return Call("create_order", method, path, body)
        case "POST", ["orders", "sessions"]:
            return Call("pay_order", method, path, body)
        case "GET", ["orders", order_id]:
            return Call("get_order", method, path, body, order_id)
        case "PATCH", ["orders", order_id]:
            return Call("terminate_order", method, path, body, order_id)
        case "GET", ["orders", order_id, "payments"]:
            return Call("get_payments", method, path, body, order_id)
        case "GET", ["orders", order_id, "payments", payment_id]:
            return Call("get_payment", method, path, body, order_id, payment_id)
        case "POST", ["orders", order_id, "refunds"]:
            return Call("create_refund", method, path, body, order_id)
        case "GET", ["orders", order_id, "refunds"]:
            return Call("get_refunds", method, path, body, order_id)
        case "GET", ["orders", order_id, "refunds", refund_id]:
            return Call("get_refund", method, path, body, order_id, refund_id)
        case "PUT", ["orders", order_id, "refunds", refund_id]:
            return Call("cancel_refund", method, path, body, order_id, refund_id)
        case "GET", ["orders", order_id, "settlements"]:
            return Call("get_order_settlement", method, path, body, order_id)
        case "GET", ["orders", order_id, "disputes"]:
            return Call("get_disputes", method, path, body, order_id)
        case "GET", ["disputes", dispute_id]:
            return Call("get_dispute", method, path, body, "", dispute_id)
        case "PUT", ["disputes", dispute_id, "accept"]:
            return Call("accept_dispute", method, path, body, "", dispute_id)
        case "POST", ["settlements"]:
            return Call("get_settlements", method, path, body)
        case "POST", ["settlement", "recon"]:
            return Call("get_settlement_rows", method, path, body)
        case _:
            raise errors.bad_url()
