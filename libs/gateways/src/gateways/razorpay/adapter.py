"""Razorpay's adapter: the pure functions of this folder, strung on the HTTP client."""

import base64
from collections.abc import Mapping, Sequence
from datetime import date

from gateways import (
    Adapter,
    AttemptStatus,
    Capabilities,
    CreateOrderResult,
    GatewayAccount,
    MerchantAccounts,
    OrderMissing,
    OrderReference,
    OrderRefused,
    OrderRequest,
    PaymentAttempt,
    ReadOrderResult,
    Unknown,
    WebhookContent,
)
from gateways.client import GatewayClient
from gateways.disputes import DisputeSnapshot
from gateways.razorpay import attempts, checkout, disputes, orders, refunds, settlements, webhooks
from gateways.razorpay.answers import PAGE_ITEMS
from gateways.refunds import (
    CreateRefundResult,
    ReadRefundResult,
    RefundMissing,
    RefundRefused,
    RefundRequest,
    RefundSnapshot,
)
from gateways.settlements import (
    ReadSettlementRowsResult,
    ReadSettlementsResult,
    SettlementPage,
    SettlementRow,
    SettlementRowPage,
    SettlementSnapshot,
    SettlementWindow,
)

NAME = "razorpay"
# Razorpay's API, for accounts with real money and without.
HOST = "api.razorpay.com"
# What the ids of keys begin with, by the mode of the account.
TEST_KEY, LIVE_KEY = "rzp_test_", "rzp_live_"
CAPABILITIES = Capabilities(
    closes_orders=False,
    signs_time=False,
    needs_customer_phone=False,
    refunds_instantly=True,
    refunds_by_payment=True,
    signs_checkout=True,
)


class RazorpayGateway:
    """The Gateway of one Razorpay account.

    What is about one order is read by Razorpay's id of it; where only ours is known, the order is found first.
    """

    def __init__(self, account: GatewayAccount, client: GatewayClient) -> None:
        self.account = account
        self.capabilities = CAPABILITIES
        self._client = client

    # ── Orders ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_order(self, order: OrderRequest, timeout_seconds: float) -> CreateOrderResult:
        if len(order.order_id) > orders.RECEIPT_CHARACTERS_MAX:
            return OrderRefused("order_id_too_long")
        answer = await self._client.send(orders.build_create_order(order), order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        result = orders.parse_create_order(order.order_id, answer.status, answer.body)
        if not isinstance(result, orders.ReadInstead):
            return result
        existing = await self.read_order(order.reference, timeout_seconds)
        # The receipt is taken, and the list does not show by what (yet).
        return Unknown("order_not_found_after_conflict") if isinstance(existing, OrderMissing) else existing

    async def read_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        if order.gateway_order_id:
            request = orders.build_get_order(order.gateway_order_id)
        else:
            request = orders.build_find_order(order.order_id)
        answer = await self._client.send(request, order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        if order.gateway_order_id:
            return orders.parse_get_order(order.order_id, order.gateway_order_id, answer.status, answer.body)
        return orders.parse_find_order(order.order_id, answer.status, answer.body)

    async def read_attempts(self, order: OrderReference, timeout_seconds: float) -> Sequence[PaymentAttempt] | Unknown:
        own_id = await self._gateway_order_id(order, timeout_seconds)
        if isinstance(own_id, Unknown):
            return own_id
        answer = await self._client.send(attempts.build_get_payments(own_id), order.order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return attempts.parse_get_payments(order.order_id, own_id, answer.status, answer.body)

    async def close_order(self, order: OrderReference, timeout_seconds: float) -> ReadOrderResult:
        return await self.read_order(order, timeout_seconds)

    async def _gateway_order_id(self, order: OrderReference, timeout_seconds: float) -> str | Unknown:
        if order.gateway_order_id:
            return order.gateway_order_id
        found = await self.read_order(order, timeout_seconds)
        if isinstance(found, Unknown):
            return found
        return Unknown("order_missing") if isinstance(found, OrderMissing) else found.gateway_order_id

    # ── Refunds ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_refund(self, refund: RefundRequest, timeout_seconds: float) -> CreateRefundResult:
        listed = await self.read_attempts(refund.order, timeout_seconds)
        if isinstance(listed, Unknown):
            return listed
        captured = next((each for each in listed if each.gateway_payment_id == refund.gateway_payment_id), None)
        if captured is not None and captured.status is AttemptStatus.UNKNOWN:
            return Unknown("payment_unreadable")
        if captured is None or captured.status is not AttemptStatus.SUCCESS:
            return RefundRefused("not_paid")
        existing = await self._find_refund(refund, timeout_seconds)
        if not isinstance(existing, RefundMissing):
            return existing
        order_id = refund.order.order_id
        answer = await self._client.send(refunds.build_create_refund(refund), order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        result = refunds.parse_create_refund(order_id, refund, answer.status, answer.body)
        if not isinstance(result, refunds.ReadInstead):
            return result
        again = await self._find_refund(refund, timeout_seconds)
        return Unknown("refund_not_found_after_conflict") if isinstance(again, RefundMissing) else again

    async def read_refund(self, order: OrderReference, refund_id: str, timeout_seconds: float) -> ReadRefundResult:
        listed = await self.read_refunds(order, timeout_seconds)
        return listed if isinstance(listed, Unknown) else _own(listed, refund_id)

    async def read_refunds(self, order: OrderReference, timeout_seconds: float) -> Sequence[RefundSnapshot] | Unknown:
        """Those of the order's captures. What Razorpay gives back without a capture was never ours."""
        listed = await self.read_attempts(order, timeout_seconds)
        if isinstance(listed, Unknown):
            return listed
        snapshots: list[RefundSnapshot] = []
        for attempt in listed:
            if attempt.status is AttemptStatus.UNKNOWN:
                return Unknown("payment_unreadable")
            if attempt.status is not AttemptStatus.SUCCESS:
                continue
            of_payment = await self._refunds_of(order.order_id, attempt.gateway_payment_id, timeout_seconds)
            if isinstance(of_payment, Unknown):
                return of_payment
            snapshots += of_payment
        return snapshots

    async def _find_refund(self, refund: RefundRequest, timeout_seconds: float) -> ReadRefundResult:
        listed = await self._refunds_of(refund.order.order_id, refund.gateway_payment_id, timeout_seconds, whole=True)
        return listed if isinstance(listed, Unknown) else _own(listed, refund.refund_id)

    async def _refunds_of(
        self, order_id: str, gateway_payment_id: str, timeout_seconds: float, *, whole: bool = False
    ) -> Sequence[RefundSnapshot] | Unknown:
        request = refunds.build_get_refunds(gateway_payment_id)
        answer = await self._client.send(request, order_id, timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return refunds.parse_get_refunds(order_id, gateway_payment_id, answer.status, answer.body, whole=whole)

    # ── Disputes ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def read_disputes(self, order: OrderReference, timeout_seconds: float) -> Sequence[DisputeSnapshot] | Unknown:
        listed = await self.read_attempts(order, timeout_seconds)
        if isinstance(listed, Unknown):
            return listed
        if not listed:
            return []
        payments = {attempt.gateway_payment_id for attempt in listed}
        times = [attempt.at for attempt in listed]
        # A payment without a time: the account's whole list is looked through.
        since = min(at for at in times if at is not None) if all(times) else None
        snapshots: list[DisputeSnapshot] = []
        for page in range(disputes.PAGES_MAX):
            request = disputes.build_get_disputes(since, page * PAGE_ITEMS)
            answer = await self._client.send(request, order.order_id, timeout_seconds)
            if isinstance(answer, Unknown):
                return answer
            result = disputes.parse_get_disputes(order.order_id, payments, answer.status, answer.body)
            if isinstance(result, Unknown):
                return result
            own, has_more = result
            snapshots += own
            if not has_more:
                return snapshots
        return Unknown("too_many_disputes")

    # ── Settlements ──────────────────────────────────────────────────────────────────────────────────────────────

    async def read_settlements(
        self, window: SettlementWindow, cursor: str, timeout_seconds: float
    ) -> ReadSettlementsResult:
        """Each with the sums of its rows, for which the report of its day is read; *cursor* is how many to skip."""
        skip = int(cursor or 0)
        request = settlements.build_get_settlements(window, skip)
        answer = await self._client.send(request, "", timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        listed = settlements.parse_get_settlements(answer.status, answer.body)
        if isinstance(listed, Unknown):
            return listed
        reports: dict[date, Sequence[SettlementRow]] = {}
        complete: list[SettlementSnapshot | None] = []
        for settlement in listed:
            day = settlements.day_of(settlement) if settlement else None
            if settlement is None or day is None:
                complete.append(None)
                continue
            if day not in reports:
                report = await self._report(day, timeout_seconds)
                if isinstance(report, Unknown):
                    return report
                reports[day] = report
            complete.append(settlements.with_rows(settlement, reports[day]))
        following = str(skip + len(listed)) if len(listed) >= PAGE_ITEMS else ""
        readable = tuple(each for each in complete if each is not None)
        return SettlementPage(readable, following, complete.count(None))

    async def read_settlement_rows(
        self, gateway_settlement_id: str, cursor: str, timeout_seconds: float
    ) -> ReadSettlementRowsResult:
        """Out of the report of the settlement's day; *cursor* is that day and how many of its rows to skip."""
        day_text, _, skip_text = cursor.partition(":")
        if day_text:
            day: date | None = date.fromisoformat(day_text)
        else:
            answer = await self._client.send(
                settlements.build_get_settlement(gateway_settlement_id), "", timeout_seconds
            )
            if isinstance(answer, Unknown):
                return answer
            settlement = settlements.parse_get_settlement(gateway_settlement_id, answer.status, answer.body)
            if isinstance(settlement, Unknown):
                return settlement
            day = settlements.day_of(settlement)
        if day is None:
            return Unknown("settlement_without_day")
        skip = int(skip_text or 0)
        rows = await self._report_page(day, skip, timeout_seconds)
        if isinstance(rows, Unknown):
            return rows
        following = f"{day.isoformat()}:{skip + len(rows)}" if len(rows) >= settlements.REPORT_ROWS else ""
        own = tuple(row for row in rows if row is not None and row.gateway_settlement_id == gateway_settlement_id)
        return SettlementRowPage(own, following, rows.count(None))

    async def _report(self, day: date, timeout_seconds: float) -> Sequence[SettlementRow] | Unknown:
        """Everything that was settled on *day*."""
        report: list[SettlementRow] = []
        for page in range(settlements.REPORT_PAGES_MAX):
            rows = await self._report_page(day, page * settlements.REPORT_ROWS, timeout_seconds)
            if isinstance(rows, Unknown):
                return rows
            report += [row for row in rows if row is not None]
            if len(rows) < settlements.REPORT_ROWS:
                return report
        return Unknown("too_many_rows")

    async def _report_page(
        self, day: date, skip: int, timeout_seconds: float
    ) -> Sequence[SettlementRow | None] | Unknown:
        answer = await self._client.send(settlements.build_get_report(day, skip), "", timeout_seconds)
        if isinstance(answer, Unknown):
            return answer
        return settlements.parse_get_report(answer.status, answer.body)

    # ── What comes to us ─────────────────────────────────────────────────────────────────────────────────────────

    def verify_checkout(self, gateway_order_id: str, gateway_payment_id: str, signature: str) -> bool:
        return checkout.is_signed(self.account.key_secret, gateway_order_id, gateway_payment_id, signature)

    def parse_webhook(self, body: bytes) -> WebhookContent:
        return webhooks.parse_webhook(body)


def _own(listed: Sequence[RefundSnapshot], refund_id: str) -> RefundSnapshot | RefundMissing:
    return next((refund for refund in listed if refund.refund_id == refund_id), RefundMissing(refund_id))


def headers(account: GatewayAccount) -> Mapping[str, str]:
    credentials = base64.b64encode(f"{account.key_id}:{account.key_secret}".encode()).decode()
    return {"authorization": f"Basic {credentials}", "accept": "application/json"}


ADAPTER = Adapter(
    name=NAME,
    read_signature=webhooks.read_signature,
    sign=webhooks.sign,
    summarise_webhook=webhooks.summarise_webhook,
    parse_webhook=webhooks.parse_webhook,
    headers=headers,
    connect=RazorpayGateway,
    merchant_accounts=MerchantAccounts(
        live_url=f"https://{HOST}",
        test_url=f"https://{HOST}",
        mode_of=lambda key_id, _: "test" if key_id.startswith(TEST_KEY) else "live",
        signs_with_key=False,
        needs_customer_phone=False,
    ),
)
