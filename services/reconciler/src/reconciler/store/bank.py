"""Bank statements and their lines."""

from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from common import ids
from common.database import Tx
from reconciler.domain.bank import BankStatement, numbered
from reconciler.domain.records import BankLine, Coverage, end_of_day_in_india
from reconciler.domain.settlement_rules import words_of

# A settlement may reach the bank so many days after it left the gateway.
RECHECK_DAYS: Final = 40

_ADD_STATEMENT = """
insert into bank_statements (statement_id, account, format, currency, first_on, last_on, lines, sha256, uploaded_by,
                             uploaded_at)
values (:statement_id, :account, :format, :currency, :first_on, :last_on, :lines, :sha256, :actor, :now)
on conflict (account, sha256) do nothing
returning statement_id
"""

_ADD_LINES = """
insert into bank_lines (line_id, statement_id, account, booked_on, amount_minor, currency, words, ordinal)
select line_id, :statement_id, :account, booked_on, amount_minor, :currency, words, ordinal
from unnest(cast(:line_ids as uuid[]), cast(:booked as date[]), cast(:amounts as bigint[]), cast(:words as text[]),
            cast(:ordinals as integer[])) as row (line_id, booked_on, amount_minor, words, ordinal)
order by booked_on, amount_minor, words, ordinal
on conflict (account, booked_on, amount_minor, words, ordinal) do nothing
returning line_id
"""

# Settlements whose line may be in the new statement.
_RECHECK = """
update matched_settlements set recheck_at = :now
where settled_at >= :since and currency = :currency and bank_line_id is null
"""

# As `settlement_rules.names` reads the reference, so that a busy account's other lines are not read at all.
_LINES = """
select line_id, account, booked_on, amount_minor, currency, words from bank_lines
where booked_on between :first and :last and currency = :currency and amount_minor > 0
  and (position(cast(:reference as text) in words) > 0
       or length(words) >= 8 and position(words in cast(:reference as text)) > 0)
order by booked_on, line_id limit 100
"""

_COVERAGE = """
select account, first_on, last_on from bank_statements
where currency = :currency and last_on >= :first and first_on <= :last
order by account, first_on, last_on
"""

_ACCOUNTS = "select distinct account from bank_statements where currency = :currency"


async def store_statement(
    tx: Tx, statement_id: UUID, statement: BankStatement, sha256: bytes, actor: str, now: datetime
) -> int | None:
    """Store the lines that no earlier statement of the account holds; how many, None when the file is stored already.

    Settlements without a line are judged in the next run.
    """
    added = await tx.execute(
        _ADD_STATEMENT,
        statement_id=statement_id,
        account=statement.account,
        format=statement.format,
        currency=statement.currency,
        first_on=statement.first_on,
        last_on=statement.last_on,
        lines=len(statement.lines),
        sha256=sha256,
        actor=actor,
        now=now,
    )
    if added.first() is None:
        return None
    lines = numbered(statement.lines)
    result = await tx.execute(
        _ADD_LINES,
        statement_id=statement_id,
        account=statement.account,
        currency=statement.currency,
        line_ids=[ids.new() for _ in lines],
        booked=[line.booked_on for line in lines],
        amounts=[line.amount_minor for line in lines],
        words=[line.words for line in lines],
        ordinals=[line.ordinal for line in lines],
    )
    stored = len(list(result))
    since = end_of_day_in_india(statement.first_on - timedelta(days=RECHECK_DAYS))
    await tx.execute(_RECHECK, currency=statement.currency, since=since, now=now)
    return stored


async def credits(tx: Tx, first: date, last: date, currency: str, utr: str) -> list[BankLine]:
    """What came to an account on these days, both included, with the UTR in its words or cut off."""
    result = await tx.execute(_LINES, first=first, last=last, currency=currency, reference=words_of(utr))
    return [
        BankLine(
            line_id=ids.encode("bnk", row.line_id),
            account=row.account,
            booked_on=row.booked_on,
            amount_minor=row.amount_minor,
            currency=row.currency,
            words=row.words,
        )
        for row in result
    ]


async def coverage(tx: Tx, first: date, last: date, currency: str) -> list[Coverage]:
    """The stored statements that reach into these days."""
    result = await tx.execute(_COVERAGE, first=first, last=last, currency=currency)
    return [Coverage(row.account, row.first_on, row.last_on) for row in result]


async def accounts(tx: Tx, currency: str) -> list[str]:
    """The accounts of which there are statements."""
    return [row.account for row in await tx.execute(_ACCOUNTS, currency=currency)]
