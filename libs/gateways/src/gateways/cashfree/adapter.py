"""Cashfree's adapter: the pure functions of this folder, strung on the HTTP client."""

from collections.abc import Mapping, Sequence

import msgspec

from gateways import (
    Adapter,
    Capabilities,
    CreateOrderResult,
    GatewayAccount,
    OrderMissing,
    OrderReference,
    OrderRequest,
    PaymentAttempt,
    ReadOrderResult,
    Unknown,
    WebhookContent,
)
from gateways.cashfree import attempts, orders, webhooks
from gateways.cashfree.orders import ReadInstead
from gateways.client import GatewayClient

NAME = "cashfree"
CAPABILITIES = Capabilities(
    closes_orders=True, signs_time=True, needs_customer_phone=True, phone_country_codes=(orders.INDIA,)
)
# From this version of the API on, numbers from abroad are taken too.
FOREIGN_PHONES_SINCE = "2026-01-01"


def capabilities_of(account: GatewayAccount) -> Capabilities:
    """What Cashfree can do for *account*: customers need no number of their own where the merchant gives one."""
    return msgspec.structs.replace(
        CAPABILITIES,
        needs_customer_phone=not account.contact_phone,
        phone_country_codes=() if account.api_version >= FOREIGN_PHONES_SINCE else CAPABILITIES.phone_country_codes,
    )


class CashfreeGateway:
    """The Gateway of one Cashfree account. Orders have the id that we give them, so references need no other."""

    def __init__(self, account: GatewayAccount, client: GatewayClient) -> None:
        self.account = account
        self.capabilities = capabilities_of(account)
        self._client = client

    async def create_order(self, order: OrderRequest, timeout_seconds: float) -> CreateOrderResult:
        codes = self.capabilities.phone_country_codes
        phone = order.customer.phone if order.customer.phone.startswith(codes or "+") else self.account.contact_phone
        request = orders.build_create_order(order, self.account.notify_url, phone)
        answer = await self._client.send(request, order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        result = orders.parse_create_order(order.order_id, answer.status, answer.body)
        if not isinstance(result, ReadInstead):
            return result
        existing = await self.read_order(order.reference, timeout_seconds)
        # 422 says that the key was used, not that the order was made: without an order nothing is known.
        return Unknown("order_not_found_after_conflict") if isinstance(existing, OrderMissing) else existing

    async def read_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        answer = await self._client.send(orders.build_get_order(order.order_id), order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return orders.parse_get_order(order.order_id, answer.status, answer.body)

    async def read_attempts(self, order: OrderReference, timeout_seconds: float) -> Sequence[PaymentAttempt] | Unknown:
        request = attempts.build_get_payments(order.order_id)
        answer = await self._client.send(request, order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return attempts.parse_get_payments(order.order_id, answer.status, answer.body)

    async def close_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        request = orders.build_terminate_order(order.order_id)
        answer = await self._client.send(request, order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        result = orders.parse_terminate_order(order.order_id, answer.status, answer.body)
        return await self.read_order(order, timeout_seconds) if isinstance(result, ReadInstead) else result

    def parse_webhook(self, body: bytes) -> WebhookContent:
        return webhooks.parse_webhook(body)


def headers(account: GatewayAccount) -> Mapping[str, str]:
    return {
        "x-client-id": account.key_id,
        "x-client-secret": account.key_secret,
        "x-api-version": account.api_version,
        "accept": "application/json",
    }


ADAPTER = Adapter(
    name=NAME,
    read_signature=webhooks.read_signature,
    sign=webhooks.sign,
    summarise_webhook=webhooks.summarise_webhook,
    parse_webhook=webhooks.parse_webhook,
    headers=headers,
    connect=CashfreeGateway,
)
