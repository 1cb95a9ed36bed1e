"""The HTTP door: it reads. Credits are consumed by other services, over gRPC or the queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from common.clock import Clock
from common.database import Database
from common.http_server import Route, caller, query, reply, route
from wallet import store, wire
from wallet.domain import Owner, TransactionType

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]


class TransactionsQuery(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"since": "from", "until": "to"}
):
    """`cursor` is what the page before gave as `nextCursor`; `from` is included, `to` is not."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    type: TransactionType | None = None
    since: AwareTime | None = None
    until: AwareTime | None = None


class PacksQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    merchant_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_-]+$")] | None = None


def routes(db: Database, clock: Clock, default_merchant_id: str) -> Sequence[Route]:
    return (
        route("GET", "/api/v1/wallet", partial(show_wallet, db)),
        route("GET", "/api/v1/wallet/transactions", partial(list_transactions, db)),
        route("GET", "/api/v1/packs", partial(list_packs, db, clock, default_merchant_id), public=True),
    )


async def show_wallet(db: Database, request: Request) -> Response:
    """The caller's own wallet."""
    owner = _owner(request)
    async with db.begin() as tx:
        wallet = (await store.wallets_of(tx, [owner])).get(owner)
        lots = await store.lot_sums(tx, wallet.id) if wallet else []
    return reply(wire.wallet_json(wallet, lots))


async def list_transactions(db: Database, request: Request) -> Response:
    """The caller's own transactions, newest first."""
    asked = query(request, TransactionsQuery)
    async with db.begin() as tx:
        found = await store.transactions_page(
            tx,
            _owner(request),
            asked.limit,
            before_seq=asked.cursor,
            type=asked.type,
            since=asked.since,
            until=asked.until,
        )
    next_cursor = str(found[-1].seq) if len(found) == asked.limit and found[-1].seq > 1 else None
    return reply(wire.transactions_json(found, next_cursor))


async def list_packs(db: Database, clock: Clock, default_merchant_id: str, request: Request) -> Response:
    """The packs on sale now, cheapest first."""
    merchant_id = query(request, PacksQuery).merchant_id or default_merchant_id
    async with db.begin() as tx:
        packs = await store.packs_on_sale(tx, merchant_id, clock.now())
    return reply([wire.pack_json(pack) for pack in packs])


def _owner(request: Request) -> Owner:
    who = caller(request)
    return Owner(who.merchant_id, "USER", who.user_id)
