"""Statements of a bank as they are stored."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from msgspec import Struct

from common.errors import Conflict, InvalidArgument
from reconciler.domain.settlement_rules import words_of

LINES_MAX: Final = 20_000
WORDS_CHARACTERS_MAX: Final = 200


class BankStatementInvalid(InvalidArgument):
    """The file is no bank statement that can be read."""

    fix = "Send CSV with the columns date, amount (or credit and debit) and reference, or MT940."


class BankStatementStored(Conflict):
    """This very file was stored before."""

    fix = "Nothing to do: its lines are there. Send the statement of the following days."


class StatementLine(Struct, frozen=True, gc=False):
    """Above zero came to the account; minor units."""

    booked_on: date
    amount_minor: int
    text: str


class BankStatement(Struct, frozen=True):
    """One account's statement of some days, both included."""

    account: str
    # CSV or MT940.
    format: str
    currency: str
    first_on: date
    last_on: date
    lines: Sequence[StatementLine]


class NumberedLine(Struct, frozen=True, gc=False):
    """A line with what tells it from its equals of the same day."""

    booked_on: date
    amount_minor: int
    words: str
    ordinal: int


class StoredStatement(Struct, frozen=True):
    statement_id: UUID
    statement: BankStatement
    lines_added: int


def numbered(lines: Iterable[StatementLine]) -> list[NumberedLine]:
    """Two equal lines of one day are two; the same line in another statement is the same."""
    seen: Counter[tuple[date, int, str]] = Counter()
    result = []
    for line in lines:
        words = words_of(line.text)[:WORDS_CHARACTERS_MAX]
        key = (line.booked_on, line.amount_minor, words)
        result.append(NumberedLine(*key, seen[key]))
        seen[key] += 1
    return result
