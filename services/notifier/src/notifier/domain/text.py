"""Values as a reader sees them: amounts and times as in India, texts on one line, links that are only links."""

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from common import money, names
from common.money import Money

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
_LINE_CHARACTERS_MAX: Final = 200
_URL: Final = re.compile(r"https?://[!-~]{1,2000}")


def format_amount(amount: Money) -> str:
    """`₹5,00,000.00` as it is written in India; other currencies with their code and thousands."""
    sign, digits = ("-", money.format(amount)[1:]) if amount.minor < 0 else ("", money.format(amount))
    whole, dot, decimals = digits.partition(".")
    if amount.currency == "INR":
        return f"{sign}₹{_group_digits(whole, 2)}{dot}{decimals}"
    return f"{sign}{amount.currency} {_group_digits(whole, 3)}{dot}{decimals}"


def format_number(number: int) -> str:
    """`1,00,000`: an integer grouped as in India."""
    return ("-" if number < 0 else "") + _group_digits(str(abs(number)), 2)


def _group_digits(digits: str, group: int) -> str:
    """The last three digits, then groups of *group*: lakh and crore have two."""
    head, tail = digits[:-3], digits[-3:]
    parts = []
    while head:
        parts.append(head[-group:])
        head = head[:-group]
    return ",".join([*reversed(parts), tail])


def format_time(time: datetime) -> str:
    """`21 Nov 2026, 07:45 PM IST`."""
    return time.astimezone(IST).strftime("%d %b %Y, %I:%M %p IST")


def one_line(text: str) -> str:
    """*text* on one line of a bounded length, without what people could not read; what belongs to a name stays."""
    if not names.is_line(text):
        text = "".join(character if names.is_shown(text, position) else " " for position, character in enumerate(text))
    return text.strip()[:_LINE_CHARACTERS_MAX]


def safe_url(text: str) -> str:
    """*text* when it is a plain web address, else nothing."""
    return text if _URL.fullmatch(text) else ""
