"""Mails: which there are, what they say, whom they may go to, and what an SMTP answer means. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from common import money
from common.money import Money

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
# A server that still says "later" after this many attempts, days by then, says no.
ATTEMPTS_MAX: Final = 24
_LATER_SECONDS: Final = (30, 60, 300, 900, 3600)
_LINE_CHARACTERS_MAX: Final = 200

# What RFC 5321 lets through without quoting, in ASCII, with a domain that has a dot. Anything odder is not worth the
# ways in which mail servers differ about it. `fullmatch` leaves no room for a line break.
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_LOCAL_CHARACTERS_MAX: Final = 64
_ADDRESS_CHARACTERS_MAX: Final = 254
_URL: Final = re.compile(r"https?://[!-~]{1,2000}")


class Template(StrEnum):
    """The mails there are; each has a `.txt.j2` and a `.html.j2`."""

    PAYMENT_SUCCESS = "payment_success"
    PAYMENT_FAILED = "payment_failed"
    ADMIN_ALERT = "admin_alert"


class Status(StrEnum):
    QUEUED = "QUEUED"
    SENT = "SENT"
    FAILED = "FAILED"
    SUPPRESSED = "SUPPRESSED"


# The words for payment's catalogue of reasons. What a bank wrote never gets here.
REASONS: Final[Mapping[str, str]] = {
    "declined": "Your bank declined the payment.",
    "authentication_failed": "The payment could not be confirmed with your bank (OTP, PIN or app approval).",
    "insufficient_funds": "There was not enough money in the account.",
    "limit_exceeded": "The amount is above a limit of your bank, card or app.",
    "invalid_details": "Some of the payment details were not right.",
    "bank_unavailable": "Your bank could not be reached.",
    "dropped_by_customer": "The payment was not completed.",
    "order_closed": "The time to pay was over before the payment was completed.",
    "gateway_refused": "The payment provider could not take the payment.",
    "failed": "The payment did not go through.",
}
_REASON_UNKNOWN: Final = REASONS["failed"]


class Mail(msgspec.Struct, frozen=True):
    """A mail to be sent: what an intent carries. *values* are the template's, all of them ready to be shown."""

    email_id: UUID
    # The business key: one mail for each, for ever. Becomes the Message-ID.
    key: str
    template: Template
    merchant_id: str
    recipient: str
    subject: str
    values: dict[str, str]
    # Further lines: amounts, or the alerts of a digest.
    lines: list[tuple[str, str]]
    payment_id: UUID | None = None
    order_id: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the mail."""

    code: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will not take this mail, now or ever."""

    code: int
    reason: str


class Verdict(StrEnum):
    """What an SMTP reply code tells us to do."""

    TAKEN = "TAKEN"
    LATER = "LATER"
    NEVER = "NEVER"


class Stage(StrEnum):
    """Where in the conversation a reply came."""

    SENDER = "SENDER"
    RECIPIENT = "RECIPIENT"
    DATA = "DATA"
    CONTENT = "CONTENT"


# The conversation is at fault, or our login: nothing is wrong with the mail.
_OURS: Final = frozenset({421, 500, 501, 502, 503, 504, 530, 534, 535, 538})


def verdict(stage: Stage, code: int) -> Verdict:
    """4xx is later and 5xx never, except where 5xx speaks about us: a refused sender or login is ours to mend."""
    if 200 <= code < 400:
        return Verdict.TAKEN
    if 500 <= code < 600 and stage is not Stage.SENDER and code not in _OURS:
        return Verdict.NEVER
    return Verdict.LATER


def later_seconds(attempt: int) -> int:
    """How long to wait after the *attempt*th "later", counting from 1."""
    return _LATER_SECONDS[min(attempt, len(_LATER_SECONDS)) - 1]


def is_address(text: str) -> bool:
    """Whether mail may be sent to *text*: one plain ASCII address, nothing around it."""
    return (
        len(text) <= _ADDRESS_CHARACTERS_MAX
        and text.find("@") <= _LOCAL_CHARACTERS_MAX
        and _ADDRESS.fullmatch(text) is not None
    )


def folded(address: str) -> str:
    """The spelling under which an address is suppressed: people do not write it the same way twice."""
    return address.lower()


def shown_amount(amount: Money) -> str:
    """`₹5,00,000.00` as it is written in India; other currencies with their code and thousands."""
    sign, digits = ("-", money.format(amount)[1:]) if amount.minor < 0 else ("", money.format(amount))
    whole, dot, decimals = digits.partition(".")
    if amount.currency == "INR":
        return f"{sign}₹{_grouped(whole, 2)}{dot}{decimals}"
    return f"{sign}{amount.currency} {_grouped(whole, 3)}{dot}{decimals}"


def shown_number(number: int) -> str:
    """`1,00,000`: an integer grouped as in India."""
    return ("-" if number < 0 else "") + _grouped(str(abs(number)), 2)


def _grouped(digits: str, group: int) -> str:
    """The last three digits, then groups of *group*: lakh and crore have two."""
    head, tail = digits[:-3], digits[-3:]
    parts = []
    while head:
        parts.append(head[-group:])
        head = head[:-group]
    return ",".join([*reversed(parts), tail])


def shown_time(unix_micros: int) -> str:
    """`21 Nov 2026, 07:45 PM IST`."""
    return datetime.fromtimestamp(unix_micros // 1_000_000, UTC).astimezone(IST).strftime("%d %b %Y, %I:%M %p IST")


def one_line(text: str) -> str:
    """*text* on one printable line of a bounded length."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip()[:_LINE_CHARACTERS_MAX]


def safe_url(text: str) -> str:
    """*text* when it is a plain web address, else nothing."""
    return text if _URL.fullmatch(text) else ""


@dataclass(frozen=True, slots=True)
class Paid:
    """What a success mail tells."""

    email_id: UUID
    merchant_id: str
    recipient: str
    name: str
    payment_id: UUID
    payment: str
    order_id: str
    transaction: str
    invoice_number: str
    amount: Money
    net: Money
    taxes: Sequence[tuple[str, Money]]
    credits_paid: int
    credits_bonus: int
    method: str
    paid_unix_micros: int


def success_mail(paid: Paid) -> Mail:
    """The mail with the invoice; key `payment-success:<payment>`."""
    lines = []
    taxes = [(name, amount) for name, amount in paid.taxes if amount.minor]
    if taxes:
        lines = [("Price without tax", shown_amount(paid.net)), *((name, shown_amount(tax)) for name, tax in taxes)]
    lines.append(("Total paid", shown_amount(paid.amount)))
    values = {
        "name": one_line(paid.name),
        "payment_id": paid.payment,
        "transaction_id": paid.transaction,
        "order_id": one_line(paid.order_id),
        "invoice_number": one_line(paid.invoice_number),
        "amount": shown_amount(paid.amount),
        "credits": shown_number(paid.credits_paid + paid.credits_bonus),
        "credits_paid": shown_number(paid.credits_paid),
        "credits_bonus": shown_number(paid.credits_bonus) if paid.credits_bonus else "",
        "method": one_line(paid.method).replace("_", " "),
        "paid_at": shown_time(paid.paid_unix_micros),
    }
    return Mail(
        paid.email_id,
        f"payment-success:{paid.payment}",
        Template.PAYMENT_SUCCESS,
        paid.merchant_id,
        paid.recipient,
        f"Payment received: {shown_amount(paid.amount)}",
        values,
        lines,
        paid.payment_id,
        paid.order_id,
    )


@dataclass(frozen=True, slots=True)
class NotPaid:
    """What a failure mail tells."""

    email_id: UUID
    merchant_id: str
    recipient: str
    name: str
    payment_id: UUID
    payment: str
    order_id: str
    amount: Money
    reason: str
    retry_url: str


def failure_mail(failed: NotPaid) -> Mail:
    """The mail with the reason and the way to try again; key `payment-failed:<payment>`."""
    values = {
        "name": one_line(failed.name),
        "payment_id": failed.payment,
        "order_id": one_line(failed.order_id),
        "amount": shown_amount(failed.amount),
        "reason": REASONS.get(failed.reason, _REASON_UNKNOWN),
        "retry_url": safe_url(failed.retry_url),
    }
    return Mail(
        failed.email_id,
        f"payment-failed:{failed.payment}",
        Template.PAYMENT_FAILED,
        failed.merchant_id,
        failed.recipient,
        f"Your payment of {shown_amount(failed.amount)} did not go through",
        values,
        [],
        failed.payment_id,
        failed.order_id,
    )
