"""Invoice numbers: gap-free for each merchant and Indian financial year, and never longer than the law allows."""

import re
from datetime import datetime, timedelta, timezone
from uuid import UUID

import msgspec

from common.money import Money
from payment.domain.errors import SeriesExhausted
from payment.domain.pricing import Tax

# India has one zone and no daylight saving.
IST = timezone(timedelta(hours=5, minutes=30))

# CGST Rule 46(b): at most 16 characters, letters, digits, hyphens and slashes. The invoice registration portal takes
# capitals only and no leading zero, slash or hyphen. The table says the same.
NUMBER_CHARACTERS_MAX = 16
_DOCUMENT_NUMBER = re.compile(rf"[A-Z1-9][A-Z0-9/-]{{0,{NUMBER_CHARACTERS_MAX - 1}}}").fullmatch
# With the year and the slash it leaves seven digits: ten million documents of one merchant in a year.
PREFIX_PATTERN = r"^[A-Z][A-Z0-9]{0,3}$"


class Invoice(msgspec.Struct, frozen=True):
    """A tax invoice of one successful payment."""

    id: UUID
    payment_id: UUID
    merchant_id: str
    user_id: str
    series: str
    number: int
    text: str
    amount: Money
    tax: Tax
    place_of_supply: str
    issued_at: datetime


def financial_year(at: datetime) -> str:
    """April to March in IST, as documents number it: "2627" for 2026-27."""
    local = at.astimezone(IST)
    first = local.year if local.month >= 4 else local.year - 1
    return f"{first % 100:02d}{(first + 1) % 100:02d}"


def series(prefix: str, at: datetime) -> str:
    """One series for each prefix and financial year: "CD2627"."""
    return f"{prefix}{financial_year(at)}"


def document_number(series_name: str, number: int) -> str:
    """The number of an invoice, or of any other document that Rule 46 numbers: "CD2627/000001".

    Raises SeriesExhausted when it would be longer than the 16 characters that Rule 46(b) allows.
    """
    text = f"{series_name}/{number:06d}"
    if not _DOCUMENT_NUMBER(text):
        raise SeriesExhausted(f"the series {series_name} holds no number {number}")
    return text
