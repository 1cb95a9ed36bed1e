"""Settlements in JSON, for FINANCE: what reached the bank, with its UTR, fee, GST and rows."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from common import ids, pages
from common.pages import Page, PageQuery
from common.times import rfc3339
from gateways.settlements import SettlementStatus
from payment.domain.settlement_records import Changed, SettlementFilter
from payment.domain.settlements import Settlement, StoredRow
from payment.wire.settlement_messages import NIL


class SettlementsQuery(PageQuery, frozen=True):
    """Settlements, newest first."""

    status: Annotated[SettlementStatus, Meta(description="Only in this status.")] | None = None


class SettlementRowsQuery(PageQuery, frozen=True):
    """The rows of a settlement, by their ids."""


class SettlementView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A payout of the gateway: gross = net + fee + feeTax + adjustment, in minor units.

    *gross* are payments less refunds and disputes, *feeTax* is the GST on the fee, *adjustment* what was withheld
    (above zero) or paid on top (below zero).
    """

    settlement_id: str
    gateway: str
    gateway_settlement_id: str
    utr: str
    status: str
    currency: str
    gross: int
    fee: int
    fee_tax: int
    adjustment: int
    net: int
    settled_at: str | None
    updated_at: str
    # All rows were read since it changed last.
    is_complete: bool


class SettlementDetailView(SettlementView, frozen=True, rename="camel", kw_only=True):
    """With the number of rows that the gateway showed otherwise later, and of those that could not be read."""

    conflicts: int
    unreadable: int


class SettlementRowView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What one payment, refund, dispute or adjustment brought (above zero) or cost; amount = net + fee + feeTax."""

    row_id: str
    kind: str
    # null: no payment of ours has the order.
    payment_id: str | None
    order_id: str
    gateway_payment_id: str
    reference: str
    amount: int
    fee: int
    fee_tax: int
    net: int
    currency: str
    utr: str
    at: str | None


def filter_of(query: SettlementsQuery, merchant_id: str) -> SettlementFilter:
    """One more than the page. Raises CursorInvalid."""
    before = pages.decode_cursor(query.cursor, UUID)[0] if query.cursor else None
    return SettlementFilter(merchant_id, query.status.value if query.status else None, before, query.limit + 1)


def after_row(query: SettlementRowsQuery) -> tuple[UUID, str]:
    """Raises CursorInvalid."""
    return pages.decode_cursor(query.cursor, UUID, str) if query.cursor else (NIL, "")


def settlements_page(settlements: list[Settlement], limit: int) -> Page[SettlementView]:
    return pages.page(settlements, limit, _view, lambda last: pages.encode_cursor(last.id))


def rows_page(rows: list[StoredRow], limit: int) -> Page[SettlementRowView]:
    return pages.page(rows, limit, _row_view, lambda last: pages.encode_cursor(last.settlement_id, last.row.row_id))


def detail_view(changed: Changed) -> SettlementDetailView:
    it = changed.settlement
    return SettlementDetailView(
        **msgspec.structs.asdict(_view(it)), conflicts=changed.conflicts, unreadable=it.unreadable
    )


def _view(it: Settlement) -> SettlementView:
    return SettlementView(
        settlement_id=ids.encode("stl", it.id),
        gateway=it.gateway,
        gateway_settlement_id=it.gateway_settlement_id,
        utr=it.utr,
        status=it.status.value,
        currency=it.currency,
        gross=it.figures.gross,
        fee=it.figures.fee,
        fee_tax=it.figures.fee_tax,
        adjustment=it.figures.adjustment,
        net=it.figures.net,
        settled_at=_time(it.settled_at),
        updated_at=rfc3339(it.updated_at),
        is_complete=not it.rows_due,
    )


def _row_view(stored: StoredRow) -> SettlementRowView:
    row = stored.row
    return SettlementRowView(
        row_id=row.row_id,
        kind=row.kind.value,
        payment_id=ids.encode("pay", stored.payment_id) if stored.payment_id else None,
        order_id=row.order_id,
        gateway_payment_id=row.gateway_payment_id,
        reference=stored.reference,
        amount=row.amount.minor,
        fee=row.fee.minor,
        fee_tax=row.fee_tax.minor,
        net=row.net.minor,
        currency=row.amount.currency,
        utr=row.utr,
        at=_time(row.at),
    )


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
