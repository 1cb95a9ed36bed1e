"""HTTP endpoints of merchants' orders: each decodes, calls one use case, encodes."""

from functools import partial
from typing import Any, Final

from common.http_server import Call, Encoded, Route
from common.money import CurrencyUnknown
from common.pages import CursorInvalid, Page
from payment.domain.merchant_orders import OrderNotFound
from payment.use_cases.merchant_orders import MerchantOrders
from payment.wire import merchant_orders as wire
from payment.wire.merchant_orders import OrderBody, OrdersQuery, OrderView

PATH: Final = "/api/v1/orders"


def routes(orders: MerchantOrders) -> list[Route[Any]]:
    """A member makes and sees their own; staff see the merchant's."""
    return [
        Route("POST", PATH, partial(create_order, orders), body=OrderBody, answer=OrderView, status=201,
              permission="orders.create", idempotent=True, errors=[CurrencyUnknown]),
        Route("GET", PATH, partial(list_orders, orders), query=OrdersQuery, answer=Page[OrderView],
              permission="orders.read", errors=[CursorInvalid]),
        Route("GET", f"{PATH}/{{orderId}}", partial(read_order, orders), answer=OrderView,
              permission="orders.read", errors=[OrderNotFound]),
    ]  # fmt: skip


async def create_order(orders: MerchantOrders, call: Call[OrderBody]) -> Encoded:
    """Make an order: an amount to be paid once. Its payments name it as `orderId`, one after the other."""
    request = wire.parse_create(call.body, call.caller, call.idempotency_key, orders.clock)
    answer = await orders.create(request, wire.created_body)
    return Encoded(answer.body, answer.status, {"idempotent-replayed": "true"} if answer.replayed else {})


async def list_orders(orders: MerchantOrders, call: Call[None, OrdersQuery]) -> Page[OrderView]:
    """Orders that were made as such, newest first."""
    return wire.orders_page(await orders.page(wire.filter_of(call.query, call.caller)), call.query.limit)


async def read_order(orders: MerchantOrders, call: Call) -> OrderView:
    """An order with its payments. A payment that names no order is found under its own order id."""
    return wire.view(await orders.find(call.caller, call.path["orderId"]))
