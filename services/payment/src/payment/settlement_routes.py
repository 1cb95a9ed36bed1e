"""HTTP endpoints of settlements: each decodes, calls one use case, encodes."""

from functools import partial
from typing import Any

from common import ids
from common.database import Database
from common.http_server import Call, Route
from common.ids import IdInvalid
from common.pages import CursorInvalid, Page
from payment.domain.settlements import SettlementNotFound
from payment.use_cases import settlements
from payment.wire import settlements as views
from payment.wire.settlements import (
    SettlementDetailView,
    SettlementRowsQuery,
    SettlementRowView,
    SettlementsQuery,
    SettlementView,
)

PREFIX = "/api/v1/settlements"


def routes(db: Database) -> list[Route[Any]]:
    """For FINANCE and ADMIN: what the gateway paid out for their merchant."""
    one = f"{PREFIX}/{{settlementId}}"
    errors = (IdInvalid, SettlementNotFound)
    return [
        Route("GET", PREFIX, partial(list_settlements, db), query=SettlementsQuery, answer=Page[SettlementView],
              permission="settlements.read", errors=[CursorInvalid]),
        Route("GET", one, partial(read_settlement, db), answer=SettlementDetailView, permission="settlements.read",
              errors=errors),
        Route("GET", f"{one}/rows", partial(list_settlement_rows, db), query=SettlementRowsQuery,
              answer=Page[SettlementRowView], permission="settlements.read", errors=[*errors, CursorInvalid]),
    ]  # fmt: skip


async def list_settlements(db: Database, call: Call[None, SettlementsQuery]) -> Page[SettlementView]:
    """What the gateway paid out, newest first."""
    filter = views.filter_of(call.query, call.caller.merchant_id)
    return views.settlements_page(await settlements.settlements_of_merchant(db, filter), call.query.limit)


async def read_settlement(db: Database, call: Call) -> SettlementDetailView:
    """A settlement with its UTR, fee, GST on the fee and net."""
    settlement_id = ids.decode("stl", call.path["settlementId"])
    return views.detail_view(await settlements.find_settlement(db, settlement_id, call.caller.merchant_id))


async def list_settlement_rows(db: Database, call: Call[None, SettlementRowsQuery]) -> Page[SettlementRowView]:
    """The payments, refunds, disputes and adjustments that a settlement is made of."""
    settlement_id = ids.decode("stl", call.path["settlementId"])
    await settlements.find_settlement(db, settlement_id, call.caller.merchant_id)
    rows = await settlements.rows_of_settlements(db, [settlement_id], views.after_row(call.query), call.query.limit + 1)
    return views.rows_page(rows, call.query.limit)
