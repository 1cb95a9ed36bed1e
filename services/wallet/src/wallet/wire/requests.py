"""What HTTP requests may hold."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from common.http_server import Query
from common.pages import PageQuery, decode_cursor
from wallet.domain.wallets import TransactionFilter, TransactionType

AwareTime = Annotated[datetime, Meta(tz=True)]


class TransactionsQuery(PageQuery, frozen=True, rename={"since": "from", "until": "to"}):
    """`from` is included, `to` is not."""

    type: TransactionType | None = None
    since: AwareTime | None = None
    until: AwareTime | None = None


class PacksQuery(Query, frozen=True):
    merchant_id: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_-]+$")] | None = None


def transaction_filter(query: TransactionsQuery) -> TransactionFilter:
    """One more than the page has: whether it comes says whether there is a next page. Raises CursorInvalid."""
    before_seq = decode_cursor(query.cursor, int)[0] if query.cursor else None
    return TransactionFilter(query.limit + 1, before_seq, query.type, query.since, query.until)
