"""Settlements over gRPC, for the reconciler and operators."""

from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from commdesk.payment.v1 import settlements_pb2 as pb
from common import ids, pages
from common.errors import RequestInvalid, require_at_most
from common.events import from_micros, micros
from common.times import END, FIRST
from payment.domain.settlement_records import Changed, PaymentRecord
from payment.domain.settlements import StoredRow
from payment.use_cases.settlements import RecordPage, Window
from payment.wire.events import payment_message
from payment.wire.settlement_events import row_message, settlement_message

SETTLEMENTS_DEFAULT, SETTLEMENTS_MAX = 200, 1_000
ROWS_DEFAULT, ROWS_MAX = 1_000, 5_000
RECORDS_DEFAULT, RECORDS_MAX = 1_000, 5_000
IDS_OF_SETTLEMENTS_MAX, IDS_OF_PAYMENTS_MAX = 100, 1_000
DAYS_MAX: Final = 366
NIL: Final = UUID(int=0)


class _Windowed(Protocol):
    @property
    def changed_from_unix_micros(self) -> int: ...
    @property
    def changed_to_unix_micros(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def cursor(self) -> str: ...


def settlement_window(request: pb.ListSettlementsRequest) -> Window:
    """Raises LimitExceeded, CursorInvalid, TimeOutOfRange."""
    require_at_most(SETTLEMENTS_MAX, limit=request.limit)
    return _window(request, request.limit or SETTLEMENTS_DEFAULT)


def record_window(request: pb.ListPaymentRecordsRequest) -> Window:
    """Raises LimitExceeded, CursorInvalid, TimeOutOfRange."""
    return _window(request, _limit(request.limit, RECORDS_DEFAULT, RECORDS_MAX))


def payment_ids(request: pb.ListPaymentRecordsRequest) -> list[UUID]:
    """Raises LimitExceeded, IdInvalid."""
    require_at_most(IDS_OF_PAYMENTS_MAX, payment_ids=len(request.payment_ids))
    return [ids.decode("pay", payment_id) for payment_id in request.payment_ids]


def row_owners(request: pb.ListSettlementRowsRequest) -> tuple[list[UUID], list[UUID]]:
    """The settlements or the payments whose rows are asked for. Raises RequestInvalid, LimitExceeded, IdInvalid."""
    require_at_most(IDS_OF_SETTLEMENTS_MAX, settlement_ids=len(request.settlement_ids))
    require_at_most(IDS_OF_PAYMENTS_MAX, payment_ids=len(request.payment_ids))
    if bool(request.settlement_ids) == bool(request.payment_ids):
        raise RequestInvalid("name settlements or payments", settlement_ids="or payment_ids, and not both")
    settlement_ids = [ids.decode("stl", settlement_id) for settlement_id in request.settlement_ids]
    return settlement_ids, [ids.decode("pay", payment_id) for payment_id in request.payment_ids]


def rows_limit(request: pb.ListSettlementRowsRequest) -> int:
    """Raises LimitExceeded."""
    return _limit(request.limit, ROWS_DEFAULT, ROWS_MAX)


def after_row(request: pb.ListSettlementRowsRequest) -> tuple[UUID, str]:
    """Raises CursorInvalid."""
    return pages.decode_cursor(request.cursor, UUID, str) if request.cursor else (NIL, "")


def days(request: pb.ImportSettlementsRequest) -> int:
    """Raises RequestInvalid, LimitExceeded."""
    require_at_most(DAYS_MAX, days=request.days)
    if request.days < 0:
        raise RequestInvalid("days are counted back from today", days="is below zero")
    return request.days


def settlements_response(changed: list[Changed], limit: int) -> pb.ListSettlementsResponse:
    """*changed* was read with one more than *limit*."""
    shown = changed[:limit]
    last = shown[-1].settlement if len(changed) > limit else None
    return pb.ListSettlementsResponse(
        settlements=[settlement_message(each.settlement, each.conflicts) for each in shown],
        next_cursor=pages.encode_cursor(last.updated_at, last.id) if last else "",
    )


def rows_response(rows: list[StoredRow], limit: int, *, of_payments: bool) -> pb.ListSettlementRowsResponse:
    """*rows* were read with one more than *limit*."""
    shown = rows[:limit]
    cursor = ""
    if len(rows) > limit:
        last = shown[-1]
        cursor = (
            pages.encode_cursor(last.id, "")
            if of_payments
            else pages.encode_cursor(last.settlement_id, last.row.row_id)
        )
    return pb.ListSettlementRowsResponse(rows=[row_message(row) for row in shown], next_cursor=cursor)


def records_response(page: RecordPage) -> pb.ListPaymentRecordsResponse:
    return pb.ListPaymentRecordsResponse(
        records=[record_message(record, at) for record, at in page.records],
        next_cursor=pages.encode_cursor(page.last.at, page.last.payment_id) if page.last else "",
    )


def record_message(record: PaymentRecord, changed_at: datetime) -> pb.PaymentRecord:
    payment = record.payment
    return pb.PaymentRecord(
        payment=payment_message(payment),
        account_id=record.account_id,
        paid_unix_micros=micros(payment.paid_at) if payment.paid_at else 0,
        refunded_minor=record.refunded_minor,
        is_confirmed=record.is_confirmed,
        settlement_status=record.settlement_status,
        webhook_unix_micros=micros(record.webhook_at) if record.webhook_at else 0,
        unapplied_minor=record.unapplied_minor,
        changed_unix_micros=micros(changed_at),
    )


def _window(request: _Windowed, limit: int) -> Window:
    since = from_micros(request.changed_from_unix_micros) if request.changed_from_unix_micros else FIRST
    until = from_micros(request.changed_to_unix_micros) if request.changed_to_unix_micros else END
    after = pages.decode_cursor(request.cursor, datetime, UUID) if request.cursor else (FIRST, NIL)
    return Window(since, until, after, limit)


def _limit(asked: int, default: int, most: int) -> int:
    require_at_most(most, limit=asked)
    return asked or default
