"""Cashfree's settlements and the events inside them, API version 2025-01-01: build the request, parse the page. Pure.

Amounts are rupees as JSON numbers. What reached the bank and what an event was about are exact; charges and taxes have
up to four decimals and are rounded, and what is left over counts as fee or as adjustment, so that the parts add up.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from loguru import logger

from common.money import Money
from gateways import Unknown
from gateways.cashfree.amounts import parse_signed_rupees, round_rupees
from gateways.cashfree.answers import Id, id_of, page_of, reference_of, time_of
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing
from gateways.settlements import (
    RowKind,
    SettlementPage,
    SettlementRow,
    SettlementRowPage,
    SettlementSnapshot,
    SettlementStatus,
    SettlementWindow,
)

# Cashfree's own maximum, and what it makes of a page: an event with its order and customer is 2 to 3 KB.
_PAGE_ROWS: Final = 1_000
_PAGE_BYTES_MAX: Final = 8 << 20
_CURRENCY: Final = "INR"
_ZERO: Final = Decimal(0)

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode

# REST has SUCCESS, PENDING, PENDING_WITH_CASHFREE, PENDING_WITH_BANK and FAILED, webhooks have CREATED and REVERSED,
# too. What is not listed is on its way.
_STATUS = {
    "SUCCESS": SettlementStatus.SETTLED,
    "FAILED": SettlementStatus.ON_HOLD,
    "ON_HOLD": SettlementStatus.ON_HOLD,
    "ONHOLD": SettlementStatus.ON_HOLD,
    "REVERSED": SettlementStatus.REVERSED,
}
_KIND = {
    "PAYMENT": RowKind.PAYMENT,
    "REFUND": RowKind.REFUND,
    "REFUND_REVERSAL": RowKind.REFUND,
    "DISPUTE": RowKind.DISPUTE,
    "DISPUTE_REVERSAL": RowKind.DISPUTE,
    "CHARGEBACK": RowKind.DISPUTE,
    "CHARGEBACK_REVERSAL": RowKind.DISPUTE,
}
# Events that take from us, where sale_type does not say so.
_DEBITS: Final = frozenset({"REFUND", "DISPUTE", "CHARGEBACK"})


def build_get_settlements(window: SettlementWindow, cursor: str) -> HttpRequest:
    """POST /settlements, which reads: those of the window's days in India's time."""
    filters = {"start_date": _start(window.first), "end_date": _end(window.last)}
    return _page_request("read_settlements", "/settlements", filters, cursor)


def build_get_rows(gateway_settlement_id: str, cursor: str) -> HttpRequest:
    """POST /settlement/recon, which reads. The ids are numbers there, and texts from 2026-01-01 on."""
    own_id: int | str = gateway_settlement_id
    if gateway_settlement_id.isascii() and gateway_settlement_id.isdigit():
        own_id = int(gateway_settlement_id)
    return _page_request("read_settlement_rows", "/settlement/recon", {"cf_settlement_ids": [own_id]}, cursor)


def _page_request(operation: str, path: str, filters: dict[str, Any], cursor: str) -> HttpRequest:
    pagination: dict[str, Any] = {"limit": _PAGE_ROWS}
    if cursor:
        pagination["cursor"] = cursor
    body = _encode({"pagination": pagination, "filters": filters})
    return HttpRequest(operation, "POST", path, body, answer_bytes_max=_PAGE_BYTES_MAX)


def _start(day: date) -> str:
    return f"{day.isoformat()}T00:00:00+05:30"


def _end(day: date) -> str:
    return f"{day.isoformat()}T23:59:59+05:30"


# ── Settlements ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Settlement(msgspec.Struct):
    cf_settlement_id: Id = None
    status: str | None = None
    settlement_utr: Any = None
    settlement_processed_on: Any = None
    settlement_initiated_on: Any = None
    payment_amount: Decimal | None = None
    amount_settled: Decimal | None = None
    pg_service_charge: Decimal | None = None
    pg_service_tax: Decimal | None = None
    settlement_charge: Decimal | None = None
    settlement_tax: Decimal | None = None
    split_service_charge: Decimal | None = None
    split_service_tax: Decimal | None = None


_decode_settlement = repairing(msgspec.json.Decoder(_Settlement).decode)
_SETTLEMENT_DECISIVE: Final = (b'"cf_settlement_id"', b'"status"', b'"payment_amount"', b'"amount_settled"')


def parse_get_settlements(status: int, body: bytes, cursor: str) -> SettlementPage | Unknown:
    """A page of POST /settlements; *cursor* is the one that was sent. What cannot be read is counted."""
    page = page_of(status, body, cursor)
    if isinstance(page, Unknown):
        return page
    entries, following = page
    settlements = [_read("settlement", entry, _settlement) for entry in entries]
    return SettlementPage(tuple(each for each in settlements if each is not None), following, settlements.count(None))


def status_of(word: str) -> SettlementStatus:
    return _STATUS.get(word, SettlementStatus.PENDING)


def _settlement(entry: bytes) -> SettlementSnapshot:
    row = _decode_settlement(entry)
    own_id = id_of(row.cf_settlement_id)
    if not own_id or row.status is None or row.payment_amount is None or row.amount_settled is None:
        raise ValueError("a settlement without its id, its status or its amounts")
    if has_duplicate_keys(entry, _SETTLEMENT_DECISIVE, 1):
        raise ValueError("a key is repeated")
    gross = parse_signed_rupees(row.payment_amount, _CURRENCY)
    net = parse_signed_rupees(row.amount_settled, _CURRENCY)
    fee = _charge(row.pg_service_charge, row.settlement_charge, row.split_service_charge)
    fee_tax = _charge(row.pg_service_tax, row.settlement_tax, row.split_service_tax)
    return SettlementSnapshot(
        gateway_settlement_id=own_id,
        utr=reference_of(row.settlement_utr),
        status=status_of(row.status),
        gross=Money(gross),
        fee=Money(fee),
        fee_tax=Money(fee_tax),
        # Cashfree's own word for it has the other sign, and leaves out commissions of vendors.
        adjustment=Money(gross - net - fee - fee_tax),
        net=Money(net),
        settled_at=time_of(row.settlement_processed_on) or time_of(row.settlement_initiated_on),
    )


def _charge(*amounts: Decimal | None) -> int:
    return sum(round_rupees(amount or _ZERO, _CURRENCY) for amount in amounts)


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Event(msgspec.Struct):
    event_id: Id = None
    event_type: str | None = None
    event_amount: Decimal | None = None
    event_settlement_amount: Decimal | None = None
    event_service_tax: Decimal | None = None
    event_currency: str | None = None
    sale_type: Any = None
    event_time: Any = None


class _RowOrder(msgspec.Struct):
    order_id: Any = None


class _RowPayment(msgspec.Struct):
    cf_payment_id: Any = None


class _RowSettlement(msgspec.Struct):
    cf_settlement_id: Id = None
    utr: Any = None
    # Its name from 2026-01-01 on.
    settlement_utr: Any = None


class _Row(msgspec.Struct):
    event_details: _Event
    settlement_details: _RowSettlement | None = None
    order_details: _RowOrder | None = None
    payment_details: _RowPayment | None = None
    # An object until 2025-01-01, a list from 2026-01-01 on.
    refund_details: Any = None


_decode_row = repairing(msgspec.json.Decoder(_Row).decode)
_ROW_DECISIVE: Final = (b'"event_id"', b'"event_type"', b'"event_amount"', b'"event_settlement_amount"')


def parse_get_rows(gateway_settlement_id: str, status: int, body: bytes, cursor: str) -> SettlementRowPage | Unknown:
    """A page of POST /settlement/recon about one settlement; rows of another settlement count as unreadable."""
    page = page_of(status, body, cursor)
    if isinstance(page, Unknown):
        return page
    entries, following = page
    rows = [_read("settlement row", entry, lambda raw: _row(gateway_settlement_id, raw)) for entry in entries]
    return SettlementRowPage(tuple(row for row in rows if row is not None), following, rows.count(None))


def _row(gateway_settlement_id: str, entry: bytes) -> SettlementRow:
    row = _decode_row(entry)
    event, settlement = row.event_details, row.settlement_details or _RowSettlement()
    event_id, type_ = id_of(event.event_id), id_of(event.event_type)
    if not event_id or not type_ or event.event_amount is None or event.event_settlement_amount is None:
        raise ValueError("an event without its id, its type or its amounts")
    if has_duplicate_keys(entry, _ROW_DECISIVE, 1):
        raise ValueError("a key is repeated")
    if id_of(settlement.cf_settlement_id) not in ("", gateway_settlement_id):
        raise ValueError("an event of another settlement")
    currency = event.event_currency or _CURRENCY
    amount = _signed(event, event.event_amount, currency)
    net = _signed(event, event.event_settlement_amount, currency)
    fee_tax = round_rupees(event.event_service_tax or _ZERO, currency) if amount != net else 0
    kind = _KIND.get(type_, RowKind.ADJUSTMENT)
    payment = row.payment_details or _RowPayment()
    order = row.order_details or _RowOrder()
    return SettlementRow(
        # A refund and its reversal may share the event's id.
        row_id=f"{type_}:{event_id}",
        gateway_settlement_id=gateway_settlement_id,
        kind=kind,
        order_id=reference_of(order.order_id),
        gateway_payment_id=reference_of(payment.cf_payment_id),
        reference=_reference(kind, event_id, row.refund_details),
        amount=Money(amount, currency),
        # Charges that are billed apart are in neither amount: what was taken off here is what counts.
        fee=Money(amount - net - fee_tax, currency),
        fee_tax=Money(fee_tax, currency),
        net=Money(net, currency),
        at=time_of(event.event_time),
        utr=reference_of(settlement.utr) or reference_of(settlement.settlement_utr),
    )


def _signed(event: _Event, amount: Decimal, currency: str) -> int:
    """*amount* with the sign of its direction; Cashfree writes what it takes from us with or without one."""
    minor = parse_signed_rupees(amount, currency)
    is_debit = event.sale_type == "DEBIT" or (event.sale_type != "CREDIT" and event.event_type in _DEBITS)
    return -abs(minor) if is_debit else minor


def _reference(kind: RowKind, event_id: str, refund_details: object) -> str:
    if kind is RowKind.DISPUTE:
        return event_id
    if kind is not RowKind.REFUND:
        return ""
    details = refund_details[0] if isinstance(refund_details, list) and refund_details else refund_details
    return reference_of(details.get("refund_id")) if isinstance(details, dict) else ""


def _read(what: str, entry: bytes, read: Callable[[bytes], T]) -> T | None:
    try:
        return read(entry)
    except UNREADABLE:
        logger.bind(bytes=len(entry)).warning("a {} cannot be read", what)
        return None
