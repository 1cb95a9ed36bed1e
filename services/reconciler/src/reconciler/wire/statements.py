"""Bank statements as files: CSV and MT940.

CSV (UTF-8, a heading, commas or semicolons): `date` (2026-03-31, 31-03-2026 or 31/03/2026); `amount`, or `credit` and
`debit`; `reference` and, when there is one, `narrative`. Other columns are left alone; names in any case. Amounts are
decimals of the currency, with or without commas between thousands; above zero came to the account.
"""

import csv
import io
import warnings
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import mt940

from common.money import EXPONENTS, MINOR_MAX
from reconciler.domain.bank import (
    LINES_MAX,
    BankStatement,
    BankStatementInvalid,
    StatementLine,
)

# What the edge lets through over HTTP; larger files go by `commdesk recon statement`.
FILE_BYTES_MAX: Final = 65_536
_DATES: Final = ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%d-%b-%Y", "%d %b %Y")
_NAMES: Final = {
    "date": ("date", "transaction date", "txn date", "value date"),
    "amount": ("amount",),
    "credit": ("credit", "deposit", "credit amount", "deposit amt"),
    "debit": ("debit", "withdrawal", "debit amount", "withdrawal amt"),
    "reference": ("reference", "utr", "reference number", "chq/ref number", "ref no"),
    "narrative": ("narrative", "narration", "description", "particulars"),
}


def parse(body: bytes, account: str, currency: str) -> BankStatement:
    """The statement in *body*: MT940 when it has that format's tags, otherwise CSV. *account* and *currency* are those
    of a CSV; MT940 names its own. Raises BankStatementInvalid."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    if "\0" in text:
        raise BankStatementInvalid("the file is no text")
    return _mt940(text) if ":20:" in text and ":61:" in text else _csv(text, account, currency)


def _statement(account: str, format: str, currency: str, lines: list[StatementLine]) -> BankStatement:
    if not lines:
        raise BankStatementInvalid("the statement has no lines")
    days = [line.booked_on for line in lines]
    return BankStatement(account, format, currency, min(days), max(days), lines)


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _csv(text: str, account: str, currency: str) -> BankStatement:
    if currency not in EXPONENTS:
        raise BankStatementInvalid("the currency is not known", currency="is an ISO 4217 code such as INR")
    if not account:
        raise BankStatementInvalid("a CSV names no account", account="is needed")
    heading = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text), delimiter=";" if heading.count(";") > heading.count(",") else ",")
    try:
        columns = _columns(next(rows, []))
        lines = [line for number, row in enumerate(rows, 2) if (line := _line(row, columns, currency, number))]
    except csv.Error as error:
        raise BankStatementInvalid(f"the CSV cannot be read: {error}") from None
    return _statement(account, "CSV", currency, lines)


def _columns(heading: list[str]) -> dict[str, int]:
    names = {name.strip().lower(): index for index, name in enumerate(heading)}
    columns = {
        column: next((names[spelling] for spelling in spellings if spelling in names), -1)
        for column, spellings in _NAMES.items()
    }
    columns = {column: index for column, index in columns.items() if index >= 0}
    if "date" not in columns or not {"reference", "narrative"} & columns.keys():
        raise BankStatementInvalid("columns are missing", heading="has date, and reference or narrative")
    if "amount" not in columns and not {"credit", "debit"} <= columns.keys():
        raise BankStatementInvalid("columns are missing", heading="has amount, or credit and debit")
    return columns


def _line(row: list[str], columns: dict[str, int], currency: str, number: int) -> StatementLine | None:
    if not any(cell.strip() for cell in row):
        return None
    if number > LINES_MAX + 1:
        raise BankStatementInvalid(f"the statement has more than {LINES_MAX} lines")
    cells = {column: row[index].strip() if index < len(row) else "" for column, index in columns.items()}
    if "amount" in cells:
        amount = _minor(cells["amount"], currency, number)
    else:
        amount = _minor(cells["credit"], currency, number) - _minor(cells["debit"], currency, number)
    if not amount:
        return None
    text = f"{cells.get('reference', '')} {cells.get('narrative', '')}"
    return StatementLine(_day(cells["date"], number), amount, text)


def _day(text: str, number: int) -> date:
    for form in _DATES:
        try:
            day = datetime.strptime(text, form).date()  # noqa: DTZ007, a day has no time zone
        except ValueError:
            continue
        if 2000 <= day.year < 2100:
            return day
    raise BankStatementInvalid("a date cannot be read", line=f"{number}: is a day such as 2026-03-31")


def _minor(text: str, currency: str, number: int) -> int:
    if not text:
        return 0
    try:
        amount = Decimal(text.replace(",", ""))
        minor = amount.scaleb(EXPONENTS[currency])
        if minor == minor.to_integral_value() and abs(minor) <= MINOR_MAX:
            return int(minor)
    except InvalidOperation:
        pass
    raise BankStatementInvalid("an amount cannot be read", line=f"{number}: is a decimal such as 1,234.50")


# ── MT940 ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mt940(text: str) -> BankStatement:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            statement = mt940.parse(text)
        account = str(statement.data.get("account_identification") or "")
        lines = list(_mt940_lines(statement))
    except BankStatementInvalid:
        raise
    except Exception as error:  # noqa: BLE001
        # The library raises whatever its tags happen to raise.
        raise BankStatementInvalid(f"the MT940 cannot be read: {type(error).__name__}") from None
    currencies = {currency for currency, _ in lines}
    if not account or len(currencies) > 1:
        raise BankStatementInvalid("an MT940 file is about one account in one currency")
    return _statement(account[:64], "MT940", currencies.pop() if currencies else "", [line for _, line in lines])


def _mt940_lines(statement: Any) -> Iterator[tuple[str, StatementLine]]:
    for number, transaction in enumerate(statement, 1):
        if number > LINES_MAX:
            raise BankStatementInvalid(f"the statement has more than {LINES_MAX} lines")
        data = transaction.data
        currency = str(data["amount"].currency)
        if currency not in EXPONENTS:
            raise BankStatementInvalid("the currency is not known")
        names = ("customer_reference", "bank_reference", "extra_details", "transaction_details", "purpose")
        words = " ".join(str(data[name]) for name in names if data.get(name))
        booked: date = data.get("entry_date") or data["date"]
        amount = _minor(str(data["amount"].amount), currency, number)
        if amount:
            yield currency, StatementLine(date(booked.year, booked.month, booked.day), amount, words)
