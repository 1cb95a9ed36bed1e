"""What FINANCE reads: balances at an instant, statements, journals, blocks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common.database import Database
from common.pages import decode_cursor
from ledger.domain.adjustments import JournalNotFound
from ledger.domain.blocks import Block
from ledger.domain.chart import AccountBalance
from ledger.domain.journals import BookedJournal
from ledger.domain.statements import Position, StatementFilter, StatementLine
from ledger.store import blocks, statements

EXPORTED_MAX = 10_000


class Statement(Struct, frozen=True):
    """A page of an account's entries, and what the account held before the first and after the last of them all."""

    opening: AccountBalance
    closing: AccountBalance
    lines: list[StatementLine]
    after: Position | None


async def balances_at(db: Database, merchant_id: str, at: datetime) -> list[AccountBalance]:
    """Debits and credits of every account of what counts before *at*."""
    async with db.begin() as tx:
        return await statements.balances_at(tx, merchant_id, at)


async def list_entries(db: Database, filter: StatementFilter) -> tuple[list[StatementLine], Position | None]:
    """A page of entries, and where to go on."""
    async with db.begin() as tx:
        return await statements.statement_lines(tx, filter)


async def export_entries(db: Database, filter: StatementFilter) -> tuple[list[StatementLine], Position | None]:
    """Entries for an export, and where to go on."""
    return await list_entries(db, replace(filter, limit=EXPORTED_MAX))


async def read_statement(db: Database, filter: StatementFilter, account: str, account_id: int) -> Statement:
    """A page of an account's statement."""
    async with db.begin() as tx:
        opening = await statements.balances_at(tx, filter.merchant_id, filter.since)
        closing = await statements.balances_at(tx, filter.merchant_id, filter.until)
        lines, after = await statements.statement_lines(tx, replace(filter, account_id=account_id))
    of_account = [next(row for row in rows if row.account == account) for rows in (opening, closing)]
    return Statement(of_account[0], of_account[1], lines, after)


async def list_journals(
    db: Database, merchant_id: str, limit: int, before: UUID | None, template: str | None
) -> Sequence[BookedJournal]:
    """A merchant's journals, booked last first."""
    async with db.begin() as tx:
        return await statements.page_of_journals(tx, merchant_id, limit, before=before, template=template)


async def read_journal(db: Database, merchant_id: str, journal_id: UUID) -> BookedJournal:
    """Raises JournalNotFound."""
    async with db.begin() as tx:
        rows = await statements.page_of_journals(tx, merchant_id, 1, journal_id=journal_id)
    if not rows:
        raise JournalNotFound("there is no such journal")
    return rows[0]


async def list_blocks(db: Database, before: int | None, limit: int) -> list[Block]:
    """Blocks of the chain, the last one first."""
    async with db.begin() as tx:
        return await blocks.page_of_blocks(tx, before, limit)


def period_cursor(cursor: str | None) -> datetime | None:
    """Before which closing a page goes on. Raises CursorInvalid."""
    return decode_cursor(cursor, datetime)[0] if cursor else None
