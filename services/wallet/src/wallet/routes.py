"""HTTP endpoints. They read: credits are consumed by other services, over gRPC or the queue."""

from functools import partial

from common.clock import Clock
from common.database import Database
from common.http_server import Call, Route
from common.pages import CursorInvalid, Page
from common.tokens import Caller
from wallet.domain.wallets import Owner
from wallet.use_cases import wallets
from wallet.wire import requests, views
from wallet.wire.requests import PacksQuery, TransactionsQuery
from wallet.wire.views import PackView, TransactionView, WalletView


def routes(db: Database, clock: Clock, default_merchant_id: str) -> list[Route]:
    return [
        Route("GET", "/api/v1/wallet", partial(read_wallet, db), answer=WalletView, permission="wallets.read"),
        Route(
            "GET",
            "/api/v1/wallet/transactions",
            partial(list_transactions, db),
            query=TransactionsQuery,
            answer=Page[TransactionView],
            permission="wallets.read",
            errors=[CursorInvalid],
        ),
        Route(
            "GET",
            "/api/v1/packs",
            partial(list_packs, db, clock, default_merchant_id),
            query=PacksQuery,
            answer=list[PackView],
            public=True,
        ),
    ]


async def read_wallet(db: Database, call: Call) -> WalletView:
    """The caller's own wallet, and its open credits by expiry."""
    return views.wallet(await wallets.read_wallet(db, _owner(call.caller)))


async def list_transactions(db: Database, call: Call[None, TransactionsQuery]) -> Page[TransactionView]:
    """The caller's own transactions, newest first."""
    filter = requests.transaction_filter(call.query)
    transactions = await wallets.list_transactions(db, _owner(call.caller), filter)
    return views.transactions_page(transactions, call.query.limit)


async def list_packs(
    db: Database, clock: Clock, default_merchant_id: str, call: Call[None, PacksQuery]
) -> list[PackView]:
    """What a merchant has on sale now, cheapest first."""
    packs = await wallets.list_packs(db, clock, call.query.merchant_id or default_merchant_id)
    return [views.pack(pack) for pack in packs]


def _owner(caller: Caller) -> Owner:
    return Owner(caller.merchant_id, "USER", caller.user_id)
