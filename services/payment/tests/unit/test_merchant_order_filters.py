"""Whose orders a caller lists."""

import pytest

from common.tokens import Caller
from payment.wire.merchant_orders import OrdersQuery, filter_of


@pytest.mark.parametrize(
    ("user_id", "permissions", "listed"),
    [
        ("usr_1", {"orders.read"}, "usr_1"),
        ("usr_1", {"orders.read", "payments.read_others"}, None),
        # A key has no user: without the right to others' it lists nobody's, not everybody's.
        ("", {"orders.read"}, ""),
        ("", {"orders.read", "payments.read_others"}, None),
    ],
)
def test_others_orders_need_a_permission_of_their_own(user_id: str, permissions: set[str], listed: str | None) -> None:
    caller = Caller(user_id, "mer_shop", permissions=frozenset(permissions), api_key_id="" if user_id else "apk_1")
    assert filter_of(OrdersQuery(), caller).user_id == listed
