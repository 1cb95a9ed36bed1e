"""Invoice numbers: gap-free for each merchant and Indian financial year."""

from datetime import datetime, timedelta, timezone
from uuid import UUID

import msgspec

from common.money import Money
from payment.domain.pricing import Tax

# India has one zone and no daylight saving.
IST = timezone(timedelta(hours=5, minutes=30))


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
    """April to March in IST: "2026-27"."""
    local = at.astimezone(IST)
    first = local.year if local.month >= 4 else local.year - 1
    return f"{first}-{(first + 1) % 100:02d}"


def series(prefix: str, at: datetime) -> str:
    return f"{prefix}/{financial_year(at)}"


def number_text(series_name: str, number: int) -> str:
    """CD/2026-27/000001; a number past 999999 has more digits."""
    return f"{series_name}/{number:06d}"
