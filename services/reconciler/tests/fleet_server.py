"""A gRPC server that answers for payment, wallet and ledger with the records of a world, page by page as they do."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import grpc

from commdesk.common.v1.common_pb2 import Money
from commdesk.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from commdesk.payment.v1 import payment_pb2, refunds_pb2, refunds_pb2_grpc, settlements_pb2, settlements_pb2_grpc
from commdesk.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from common.events import from_micros, micros
from reconciler.domain.records import PaymentRecord, RefundRecord, Settlement, SettlementRow
from services.reconciler.tests.worlds import World

T = TypeVar("T")


class FleetServer(
    settlements_pb2_grpc.SettlementServiceServicer,
    refunds_pb2_grpc.RefundServiceServicer,
    wallet_pb2_grpc.WalletServiceServicer,
    ledger_pb2_grpc.LedgerServiceServicer,
):
    """*changed_at*: when settlements and refunds count as changed; payments have their own time. Mutable, so that a
    test changes the world between two runs."""

    def __init__(self, world: World, changed_at: datetime) -> None:
        self.world = world
        self.changed_at = changed_at
        # Methods that answer UNAVAILABLE after so many calls.
        self.silent_after: dict[str, int] = {}
        self.calls: dict[str, int] = {}
        self._rows: Mapping[str, Sequence[SettlementRow]] = {}
        self._window: tuple[datetime, datetime, list[PaymentRecord]] = (changed_at, changed_at, [])

    def index(self) -> None:
        """Look the rows up by payment again."""
        rows: dict[str, list[SettlementRow]] = {}
        for each in self.world.rows.values():
            for row in each:
                rows.setdefault(row.payment_id, []).append(row)
        self._rows = rows

    async def _count(self, method: str, context: Any) -> None:
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.calls[method] > self.silent_after.get(method, 1 << 30):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    async def ListPaymentRecords(self, request: Any, context: Any) -> Any:
        await self._count("ListPaymentRecords", context)
        records = self.world.records
        if request.payment_ids:
            chosen = [records[each] for each in request.payment_ids if each in records]
        else:
            since, until = _window(request)
            # A window is sorted for its first page: a large one has hundreds.
            if not request.cursor or self._window[:2] != (since, until):
                changed = [each for each in records.values() if since <= each.changed_at < until]
                self._window = (since, until, sorted(changed, key=lambda each: each.payment_id))
            chosen = self._window[2]
        page, cursor = _page(chosen, request, lambda each: each.payment_id)
        return settlements_pb2.ListPaymentRecordsResponse(records=map(record_message, page), next_cursor=cursor)

    async def ListSettlements(self, request: Any, context: Any) -> Any:
        await self._count("ListSettlements", context)
        since, until = _window(request)
        settlements = sorted(self.world.settlements.values(), key=lambda each: each.settlement_id)
        chosen = settlements if since <= self.changed_at < until else []
        page, cursor = _page(chosen, request, lambda each: each.settlement_id)
        return settlements_pb2.ListSettlementsResponse(settlements=map(settlement_message, page), next_cursor=cursor)

    async def ListSettlementRows(self, request: Any, context: Any) -> Any:
        await self._count("ListSettlementRows", context)
        chosen = [row for each in request.settlement_ids for row in self.world.rows[each]]
        chosen += [row for each in request.payment_ids for row in self._rows.get(each, ())]
        first = int(request.cursor or 0)
        page = chosen[first : first + request.limit]
        cursor = str(first + request.limit) if first + request.limit < len(chosen) else ""
        return settlements_pb2.ListSettlementRowsResponse(rows=map(row_message, page), next_cursor=cursor)

    async def ListRefunds(self, request: Any, context: Any) -> Any:
        await self._count("ListRefunds", context)
        if request.payment_ids:
            assert len(request.payment_ids) <= 500
            of_payments = [self.world.refunds.get(payment_id, ()) for payment_id in request.payment_ids]
            chosen = sorted((each for refunds in of_payments for each in refunds), key=lambda each: each.refund_id)
        else:
            since, until = _window(request)
            all_refunds = [each for refunds in self.world.refunds.values() for each in refunds]
            chosen = sorted(all_refunds, key=lambda each: each.refund_id) if since <= self.changed_at < until else []
        page, cursor = _page(chosen, request, lambda each: each.refund_id)
        return refunds_pb2.ListRefundsResponse(refunds=map(refund_message, page), next_cursor=cursor)

    async def ListPaymentGrants(self, request: Any, context: Any) -> Any:
        await self._count("ListPaymentGrants", context)
        grants = [self.world.grants[each] for each in request.payment_ids if each in self.world.grants]
        return wallet_pb2.ListPaymentGrantsResponse(
            grants=[
                wallet_pb2.PaymentGrant(
                    payment_id=each.payment_id,
                    credits_paid=each.credits,
                    granted_again=each.granted_again,
                    grants=each.grants,
                )
                for each in grants
            ]
        )

    async def ListPaymentSums(self, request: Any, context: Any) -> Any:
        await self._count("ListPaymentSums", context)
        return ledger_pb2.ListPaymentSumsResponse(
            sums=[
                ledger_pb2.PaymentSum(
                    payment_id=payment_id,
                    account=each.account,
                    asset=each.asset,
                    debit=each.debit,
                    credit=each.credit,
                )
                for payment_id in request.payment_ids
                for each in self.world.sums.get(payment_id, ())
            ]
        )


@asynccontextmanager
async def serving(fleet: FleetServer) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to *fleet* on a real server."""
    fleet.index()
    server = grpc.aio.server()
    settlements_pb2_grpc.add_SettlementServiceServicer_to_server(fleet, server)  # type: ignore[no-untyped-call]
    refunds_pb2_grpc.add_RefundServiceServicer_to_server(fleet, server)  # type: ignore[no-untyped-call]
    wallet_pb2_grpc.add_WalletServiceServicer_to_server(fleet, server)  # type: ignore[no-untyped-call]
    ledger_pb2_grpc.add_LedgerServiceServicer_to_server(fleet, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


def _window(request: Any) -> tuple[datetime, datetime]:
    return from_micros(request.changed_from_unix_micros), from_micros(request.changed_to_unix_micros)


def _page(items: Sequence[T], request: Any, key: Callable[[T], str]) -> tuple[Sequence[T], str]:
    first = bisect_right(items, request.cursor, key=key) if request.cursor else 0
    page = items[first : first + request.limit]
    return page, key(page[-1]) if first + len(page) < len(items) else ""


def record_message(record: PaymentRecord) -> settlements_pb2.PaymentRecord:
    return settlements_pb2.PaymentRecord(
        payment=payment_pb2.Payment(
            payment_id=record.payment_id,
            merchant_id=record.merchant_id,
            order_id=record.order_id,
            gateway=record.gateway,
            status=f"PAYMENT_STATUS_{record.status}",
            amount=Money(minor=record.amount_minor, currency=record.currency),
            credits_paid=record.credits,
            method=record.method,
            created_unix_micros=micros(record.created_at),
            gateway_payment_id=record.gateway_payment_id,
        ),
        account_id=record.account_id,
        paid_unix_micros=micros(record.paid_at) if record.paid_at else 0,
        refunded_minor=record.refunded_minor,
        is_confirmed=record.is_confirmed,
        webhook_unix_micros=micros(record.webhook_at) if record.webhook_at else 0,
        unapplied_minor=record.unapplied_minor,
        changed_unix_micros=micros(record.changed_at),
    )


def settlement_message(settlement: Settlement) -> settlements_pb2.Settlement:
    return settlements_pb2.Settlement(
        settlement_id=settlement.settlement_id,
        merchant_id=settlement.merchant_id,
        gateway=settlement.gateway,
        account_id=settlement.account_id,
        gateway_settlement_id=settlement.gateway_settlement_id,
        utr=settlement.utr,
        status=settlement.status,
        currency=settlement.currency,
        gross_minor=settlement.gross_minor,
        fee_minor=settlement.fee_minor,
        fee_tax_minor=settlement.fee_tax_minor,
        adjustment_minor=settlement.adjustment_minor,
        net_minor=settlement.net_minor,
        settled_unix_micros=micros(settlement.settled_at) if settlement.settled_at else 0,
        seq=settlement.seq,
    )


def row_message(row: SettlementRow) -> settlements_pb2.SettlementRow:
    return settlements_pb2.SettlementRow(
        row_id=row.row_id,
        settlement_id=row.settlement_id,
        kind=row.kind,
        payment_id=row.payment_id,
        order_id=row.order_id,
        gateway_payment_id=row.gateway_payment_id,
        refund_id=row.refund_id,
        amount_minor=row.amount_minor,
        fee_minor=row.fee_minor,
        fee_tax_minor=row.fee_tax_minor,
        net_minor=row.net_minor,
        currency=row.currency,
        event_unix_micros=micros(row.at) if row.at else 0,
        utr=row.utr,
    )


def refund_message(refund: RefundRecord) -> refunds_pb2.Refund:
    return refunds_pb2.Refund(
        refund_id=refund.refund_id,
        payment_id=refund.payment_id,
        status=f"REFUND_STATUS_{refund.status}",
        amount=Money(minor=refund.amount_minor, currency=refund.currency),
        created_unix_micros=micros(refund.created_at),
    )
