"""How a storm of alerts becomes one mail: the first of a cause at once, then one summary for each window. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from notifier.domain.mails import one_line

SAMPLES_MAX: Final = 10
_CAUSE_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Alert:
    """What a service wants an operator to know."""

    cause: str
    service: str
    summary: str
    fields: str


@dataclass(frozen=True, slots=True)
class Digest:
    """Where a cause stands. No *closes_at* means that no window is open and the next alert is mailed at once."""

    cause: str
    closes_at: datetime | None = None
    # Alerts of the open window, and some of them in words.
    pending: int = 0
    samples: tuple[str, ...] = ()
    # Mails so far: it makes their keys.
    mails: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail about a cause: how many alerts it stands for, and some of them."""

    cause: str
    number: int
    count: int
    samples: tuple[str, ...]


def cause_of(text: str) -> str:
    """A cause as it is kept: bounded, on one line, never empty."""
    return one_line(text)[:_CAUSE_CHARACTERS_MAX] or "unnamed"


def absorb(digest: Digest, alerts: Sequence[Alert], now: datetime, window: timedelta) -> tuple[Digest, Notice | None]:
    """Take in *alerts*: mailed at once when no window is open, which opens one; counted otherwise."""
    samples = (*digest.samples, *(_sample(alert) for alert in alerts[:SAMPLES_MAX]))[:SAMPLES_MAX]
    fuller = replace(digest, pending=digest.pending + len(alerts), total=digest.total + len(alerts), samples=samples)
    if digest.closes_at is not None and now < digest.closes_at:
        return fuller, None
    return _mailed(fuller, now, window)


def close(digest: Digest, now: datetime, window: timedelta) -> tuple[Digest, Notice | None]:
    """End a window that is over: a summary and another window when there was more, else silence till the next one."""
    if digest.closes_at is None or now < digest.closes_at:
        return digest, None
    if digest.pending:
        return _mailed(digest, now, window)
    return replace(digest, closes_at=None), None


def _mailed(digest: Digest, now: datetime, window: timedelta) -> tuple[Digest, Notice]:
    number = digest.mails + 1
    notice = Notice(digest.cause, number, digest.pending, digest.samples)
    return replace(digest, closes_at=now + window, pending=0, samples=(), mails=number), notice


def _sample(alert: Alert) -> str:
    words = f"{alert.service}: {alert.summary}"
    return one_line(f"{words} ({alert.fields})" if alert.fields else words)
