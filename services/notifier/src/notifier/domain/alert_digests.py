"""How a storm of alerts becomes one mail: the first of a cause at once, then one summary for each window. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from notifier.domain.mails import Mail, Template
from notifier.domain.text import format_number, one_line

SAMPLES_MAX: Final = 10
_CAUSE_CHARACTERS_MAX: Final = 64


class Alert(msgspec.Struct, frozen=True):
    """What a service wants an operator to know."""

    cause: str
    service: str
    summary: str
    fields: str


class Digest(msgspec.Struct, frozen=True):
    """The state of a cause. No *closes_at* means that no window is open and the next alert is mailed at once."""

    cause: str
    closes_at: datetime | None = None
    # Alerts of the open window, and some of them in words.
    pending: int = 0
    samples: tuple[str, ...] = ()
    # Mails so far: it makes their keys.
    mails: int = 0
    total: int = 0


class Notice(msgspec.Struct, frozen=True):
    """A mail about a cause: how many alerts it stands for, and some of them."""

    cause: str
    number: int
    count: int
    samples: tuple[str, ...]


class Step(msgspec.Struct, frozen=True):
    """A digest after alerts or the end of a window, and what is to be mailed now, if anything."""

    digest: Digest
    notice: Notice | None = None


def parse_cause(text: str) -> str:
    """A cause as it is stored: bounded, on one line, never empty."""
    return one_line(text)[:_CAUSE_CHARACTERS_MAX] or "unnamed"


def absorb(digest: Digest, alerts: Sequence[Alert], now: datetime, window: timedelta) -> Step:
    """Take in *alerts*: mailed at once when no window is open, which opens one; counted otherwise."""
    samples = (*digest.samples, *(_sample(alert) for alert in alerts[:SAMPLES_MAX]))[:SAMPLES_MAX]
    counted = msgspec.structs.replace(
        digest, pending=digest.pending + len(alerts), total=digest.total + len(alerts), samples=samples
    )
    if digest.closes_at is not None and now < digest.closes_at:
        return Step(counted)
    return _mail_pending(counted, now, window)


def close(digest: Digest, now: datetime, window: timedelta) -> Step:
    """End a window that is over: a summary and another window when alerts came in it, else silence until the next."""
    if digest.closes_at is None or now < digest.closes_at:
        return Step(digest)
    if digest.pending:
        return _mail_pending(digest, now, window)
    return Step(msgspec.structs.replace(digest, closes_at=None))


def _mail_pending(digest: Digest, now: datetime, window: timedelta) -> Step:
    number = digest.mails + 1
    after = msgspec.structs.replace(digest, closes_at=now + window, pending=0, samples=(), mails=number)
    return Step(after, Notice(digest.cause, number, digest.pending, digest.samples))


def _sample(alert: Alert) -> str:
    words = f"{alert.service}: {alert.summary}"
    return one_line(f"{words} ({alert.fields})" if alert.fields else words)


def alert_mail(notice: Notice, operator: str, window: timedelta, email_id: UUID) -> Mail:
    """The mail about *notice* to one operator; key `admin-alert:<cause>:<number>:<operator>`."""
    more = notice.count - len(notice.samples)
    return Mail(
        email_id=email_id,
        key=f"admin-alert:{notice.cause}:{notice.number}:{operator}",
        template=Template.ADMIN_ALERT,
        merchant_id="",
        recipient=operator,
        subject=f"[CommDesk Pay] {notice.cause}: {format_number(notice.count)} alert(s)",
        values={
            "cause": notice.cause,
            "count": format_number(notice.count),
            "more": format_number(more) if more > 0 else "",
            "window": f"{int(window.total_seconds())} seconds",
        },
        lines=[(str(number), sample) for number, sample in enumerate(notice.samples, 1)],
    )
