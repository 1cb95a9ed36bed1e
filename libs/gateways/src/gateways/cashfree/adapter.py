"""Cashfree's adapter: the pure functions of this folder, strung on the HTTP client."""

from collections.abc import Mapping, Sequence

import msgspec

from gateways import (
    Adapter,
    Capabilities,
    CreateOrderResult,
    GatewayAccount,
    MerchantAccounts,
    OrderMissing,
    OrderReference,
    OrderRequest,
    PaymentAttempt,
    ReadOrderResult,
    Unknown,
    WebhookContent,
)
from gateways.cashfree import attempts, disputes, orders, refunds, settlements, webhooks
from gateways.cashfree.orders import ReadInstead
from gateways.client import GatewayClient
from gateways.disputes import DisputeSnapshot
from gateways.refunds import CreateRefundResult, ReadRefundResult, RefundRequest, RefundSnapshot
from gateways.settlements import ReadSettlementRowsResult, ReadSettlementsResult, SettlementWindow

NAME = "cashfree"
# Cashfree's API for accounts with real money, and for those without.
LIVE_HOST, TEST_HOST = "api.cashfree.com", "sandbox.cashfree.com"
API_VERSION = "2025-01-01"
# What Cashfree writes before the ids and secrets that it issues, by the mode of the account.
TEST_APP_ID, TEST_SECRET, LIVE_SECRET = "TEST", "cfsk_ma_test_", "cfsk_ma_prod_"
CAPABILITIES = Capabilities(
    closes_orders=True,
    signs_time=True,
    needs_customer_phone=True,
    phone_country_codes=(orders.INDIA,),
    refunds_instantly=True,
    refunds_by_payment=False,
    refunds_by_itself=True,
    reverses_refunds=True,
)
# From this version of the API on, numbers from abroad are taken too.
FOREIGN_PHONES_SINCE = "2026-01-01"


def mode_of(key_id: str, key_secret: str) -> str:
    """Older secrets tell nothing; the ids of test accounts have always begun like that."""
    return "test" if key_id.startswith(TEST_APP_ID) or key_secret.startswith(TEST_SECRET) else "live"


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

    async def create_refund(self, refund: RefundRequest, timeout_seconds: float) -> CreateRefundResult:
        order_id, refund_id = refund.order.order_id, refund.refund_id
        answer = await self._client.send(refunds.build_create_refund(refund), order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        result = refunds.parse_create_refund(order_id, refund_id, answer.status, answer.body)
        if not isinstance(result, refunds.ReadInstead):
            return result
        return refunds.refused_unless_read(result, await self.read_refund(refund.order, refund_id, timeout_seconds))

    async def read_refund(self, order: OrderReference, refund_id: str, timeout_seconds: float) -> ReadRefundResult:
        request = refunds.build_get_refund(order.order_id, refund_id)
        answer = await self._client.send(request, order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return refunds.parse_get_refund(order.order_id, refund_id, answer.status, answer.body)

    async def read_refunds(self, order: OrderReference, timeout_seconds: float) -> Sequence[RefundSnapshot] | Unknown:
        request = refunds.build_get_refunds(order.order_id)
        answer = await self._client.send(request, order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return refunds.parse_get_refunds(order.order_id, answer.status, answer.body)

    async def read_disputes(self, order: OrderReference, timeout_seconds: float) -> Sequence[DisputeSnapshot] | Unknown:
        request = disputes.build_get_disputes(order.order_id)
        answer = await self._client.send(request, order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return disputes.parse_get_disputes(order.order_id, answer.status, answer.body)

    async def read_settlements(
        self, window: SettlementWindow, cursor: str, timeout_seconds: float
    ) -> ReadSettlementsResult:
        request = settlements.build_get_settlements(window, cursor)
        answer = await self._client.send(request, "", timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return settlements.parse_get_settlements(answer.status, answer.body, cursor)

    async def read_settlement_rows(
        self, gateway_settlement_id: str, cursor: str, timeout_seconds: float
    ) -> ReadSettlementRowsResult:
        request = settlements.build_get_rows(gateway_settlement_id, cursor)
        answer = await self._client.send(request, "", timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return settlements.parse_get_rows(gateway_settlement_id, answer.status, answer.body, cursor)

    def verify_checkout(self, gateway_order_id: str, gateway_payment_id: str, signature: str) -> bool:
        return False

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
    merchant_accounts=MerchantAccounts(
        live_url=f"https://{LIVE_HOST}/pg",
        test_url=f"https://{TEST_HOST}/pg",
        api_version=API_VERSION,
        mode_of=mode_of,
        signs_with_key=True,
        needs_customer_phone=True,
    ),
)
