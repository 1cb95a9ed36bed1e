"""Payment, wallet and ledger as sources of matching, over gRPC."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import grpc

from commdesk.ledger.v1 import ledger_pb2 as ledger_pb
from commdesk.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from commdesk.payment.v1 import refunds_pb2 as refunds_pb
from commdesk.payment.v1 import settlements_pb2 as pb
from commdesk.payment.v1.refunds_pb2_grpc import RefundServiceStub
from commdesk.payment.v1.settlements_pb2_grpc import SettlementServiceStub
from commdesk.wallet.v1 import wallet_pb2 as wallet_pb
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common.events import micros
from common.grpc_client import verdicts
from reconciler.domain.records import AccountSum, Grant, PaymentRecord, RefundRecord, Settlement, SettlementRow
from reconciler.gateways import MATCHING_PAGE
from reconciler.wire import records

CALL_SECONDS = 20.0
SETTLEMENTS_PAGE = 50
ROWS_PAGE = 5_000
REFUNDS_PAGE = 1_000


class FleetSources:
    """The sources as the running services answer; each call has a deadline."""

    def __init__(self, payment: grpc.aio.Channel, wallet: grpc.aio.Channel, ledger: grpc.aio.Channel) -> None:
        self._settlements: Any = SettlementServiceStub(payment)  # type: ignore[no-untyped-call]
        self._refunds: Any = RefundServiceStub(payment)  # type: ignore[no-untyped-call]
        self._wallet: Any = WalletServiceStub(wallet)  # type: ignore[no-untyped-call]
        self._ledger: Any = LedgerServiceStub(ledger)  # type: ignore[no-untyped-call]

    async def changed_payments(
        self, since: datetime, until: datetime, page: str
    ) -> tuple[Sequence[PaymentRecord], str]:
        request = pb.ListPaymentRecordsRequest(
            changed_from_unix_micros=micros(since),
            changed_to_unix_micros=micros(until),
            limit=MATCHING_PAGE,
            cursor=page,
        )
        with verdicts():
            response = await self._settlements.ListPaymentRecords(request, timeout=CALL_SECONDS)
        return [records.payment(each) for each in response.records], response.next_cursor

    async def payments(self, payment_ids: Sequence[str]) -> Sequence[PaymentRecord]:
        request = pb.ListPaymentRecordsRequest(payment_ids=payment_ids, limit=MATCHING_PAGE)
        with verdicts():
            response = await self._settlements.ListPaymentRecords(request, timeout=CALL_SECONDS)
        return [records.payment(each) for each in response.records]

    async def changed_settlements(
        self, since: datetime, until: datetime, page: str
    ) -> tuple[Sequence[Settlement], str]:
        request = pb.ListSettlementsRequest(
            changed_from_unix_micros=micros(since),
            changed_to_unix_micros=micros(until),
            limit=SETTLEMENTS_PAGE,
            cursor=page,
        )
        with verdicts():
            response = await self._settlements.ListSettlements(request, timeout=CALL_SECONDS)
        return [records.settlement(each) for each in response.settlements], response.next_cursor

    async def rows_of_settlement(self, settlement_id: str, page: str) -> tuple[Sequence[SettlementRow], str]:
        request = pb.ListSettlementRowsRequest(settlement_ids=[settlement_id], limit=ROWS_PAGE, cursor=page)
        with verdicts():
            response = await self._settlements.ListSettlementRows(request, timeout=CALL_SECONDS)
        return [records.row(each) for each in response.rows], response.next_cursor

    async def rows_of_payments(self, payment_ids: Sequence[str]) -> Sequence[SettlementRow]:
        rows: list[SettlementRow] = []
        request = pb.ListSettlementRowsRequest(payment_ids=payment_ids, limit=ROWS_PAGE)
        while True:
            with verdicts():
                response = await self._settlements.ListSettlementRows(request, timeout=CALL_SECONDS)
            rows += [records.row(each) for each in response.rows]
            if not response.next_cursor:
                return rows
            request.cursor = response.next_cursor

    async def changed_refunds(self, since: datetime, until: datetime, page: str) -> tuple[Sequence[RefundRecord], str]:
        request = refunds_pb.ListRefundsRequest(
            changed_from_unix_micros=micros(since),
            changed_to_unix_micros=micros(until),
            limit=MATCHING_PAGE,
            cursor=page,
        )
        with verdicts():
            response = await self._refunds.ListRefunds(request, timeout=CALL_SECONDS)
        return [records.refund(each) for each in response.refunds], response.next_cursor

    async def refunds(self, payment_ids: Sequence[str]) -> Sequence[RefundRecord]:
        found: list[RefundRecord] = []
        request = refunds_pb.ListRefundsRequest(payment_ids=payment_ids, limit=REFUNDS_PAGE)
        while True:
            with verdicts():
                response = await self._refunds.ListRefunds(request, timeout=CALL_SECONDS)
            found += [records.refund(each) for each in response.refunds]
            if not response.next_cursor:
                return found
            request.cursor = response.next_cursor

    async def grants(self, payment_ids: Sequence[str]) -> Mapping[str, Grant]:
        request = wallet_pb.ListPaymentGrantsRequest(payment_ids=payment_ids)
        with verdicts():
            response = await self._wallet.ListPaymentGrants(request, timeout=CALL_SECONDS)
        return {each.payment_id: records.grant(each) for each in response.grants}

    async def sums(self, payment_ids: Sequence[str]) -> Mapping[str, Sequence[AccountSum]]:
        request = ledger_pb.ListPaymentSumsRequest(payment_ids=payment_ids)
        with verdicts():
            response = await self._ledger.ListPaymentSums(request, timeout=CALL_SECONDS)
        sums: dict[str, list[AccountSum]] = {}
        for each in response.sums:
            sums.setdefault(each.payment_id, []).append(records.account_sum(each))
        return sums
