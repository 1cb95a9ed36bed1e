"""Rules, what they measure, and the decision. Pure: facts and the time are passed in."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Final
from uuid import UUID

from common.errors import InvalidArgument
from common.money import Money

SUBJECTS_MAX: Final = 500
EVENTS_LISTED_MAX: Final = 500
SCORE_MAX: Final = 1000
# Weak signals that add up to this deserve a person's look.
SCORE_REVIEW: Final = 700
MINUTE: Final = 60
# The longest window that a rule may have; counters are kept for longer.
WINDOW_SECONDS_MAX: Final = 86_400
# Amounts are summed in one currency, so that a threshold in minor units means something.
VELOCITY_CURRENCY: Final = "INR"
LIST_BLOCK: Final = "list_block"
LIST_ALLOW: Final = "list_allow"
SCORE_SUM: Final = "score_sum"


class TooManySubjects(InvalidArgument):
    """More subjects than one call takes."""

    fix = f"Send at most {SUBJECTS_MAX} subjects in a call."


class Dimension(StrEnum):
    """What payments are counted by."""

    USER = "USER"
    IP = "IP"
    DEVICE = "DEVICE"
    # One user paying one amount: a double click, or a card being tried.
    USER_AMOUNT = "USER_AMOUNT"


class Metric(StrEnum):
    CREATED = "CREATED"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"
    # Cancelled or expired without an attempt that ended.
    ABANDONED = "ABANDONED"
    # Minor units of VELOCITY_CURRENCY that were asked for.
    AMOUNT = "AMOUNT"
    # 1 when this user was never seen with this address or device, but with others.
    NEW_SOURCE = "NEW_SOURCE"


class Action(StrEnum):
    """What a rule that fires asks for; SCORE only adds its points."""

    SCORE = "SCORE"
    REVIEW = "REVIEW"
    BLOCK = "BLOCK"


class Mode(StrEnum):
    """A SHADOW rule is measured and reported, and decides nothing."""

    ACTIVE = "ACTIVE"
    SHADOW = "SHADOW"


class Decision(IntEnum):
    """Ordered by severity; the wire has the same numbers."""

    ALLOW = 1
    REVIEW = 2
    BLOCK = 3


_DECISION: Final[Mapping[Action, Decision]] = {
    Action.SCORE: Decision.ALLOW,
    Action.REVIEW: Decision.REVIEW,
    Action.BLOCK: Decision.BLOCK,
}
assert _DECISION.keys() == set(Action), "every action asks for a decision"


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires when the metric within the window, this payment included, is greater than the threshold."""

    name: str
    dimension: Dimension
    metric: Metric
    window_seconds: int
    threshold: int
    score: int
    action: Action
    mode: Mode


@dataclass(frozen=True, slots=True)
class Subject:
    """A payment about to be made. Empty strings stand for "not known"."""

    payment_id: UUID
    merchant_id: str
    user_id: str
    ip: str
    device_id: str
    amount: Money
    # The same for every try of one request, though each try has a payment id of its own.
    request_key: str


@dataclass(slots=True)
class Counts:
    """What happened to one key; *amount* in minor units."""

    created: int = 0
    failed: int = 0
    succeeded: int = 0
    abandoned: int = 0
    amount: int = 0

    def add(self, other: "Counts") -> None:
        self.created += other.created
        self.failed += other.failed
        self.succeeded += other.succeeded
        self.abandoned += other.abandoned
        self.amount += other.amount


_MEASURE: Final[Mapping[Metric, Callable[[Counts], int]]] = {
    Metric.CREATED: attrgetter("created"),
    Metric.FAILED: attrgetter("failed"),
    Metric.SUCCEEDED: attrgetter("succeeded"),
    Metric.ABANDONED: attrgetter("abandoned"),
    Metric.AMOUNT: attrgetter("amount"),
}
_NOTHING: Final = Counts()
assert _MEASURE.keys() | {Metric.NEW_SOURCE} == set(Metric), "every metric is measured"


@dataclass(frozen=True, slots=True)
class Source:
    """A user at an address or on a device."""

    user_key: UUID
    dimension: Dimension
    source_key: UUID


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the keys of a call, read at one moment."""

    at: datetime
    # Key → minute since 1970 → what happened in it.
    velocity: Mapping[UUID, Mapping[int, Counts]] = field(default_factory=dict)
    blocked: frozenset[UUID] = frozenset()
    allowed: frozenset[UUID] = frozenset()
    # Sources that are new to their user, who has others.
    new_sources: frozenset[Source] = frozenset()
    # One address is asked about by every subject that comes from it.
    _sums: dict[tuple[UUID, int], Counts] = field(default_factory=dict, repr=False, compare=False)

    def within(self, key: UUID, window_seconds: int) -> Counts:
        """What happened to *key* in the window that ended when this was read."""
        buckets = self.velocity.get(key)
        if buckets is None:
            return _NOTHING
        total = self._sums.get((key, window_seconds))
        if total is None:
            total = self._sums[key, window_seconds] = windowed(buckets, self.at, window_seconds)
        return total


@dataclass(frozen=True, slots=True)
class Score:
    """The answer for one subject. *shadow* names the rules that would have spoken, *measured* what each rule saw."""

    subject: Subject
    score: int
    decision: Decision
    reasons: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    measured: Mapping[str, int] = field(default_factory=dict)


@lru_cache(maxsize=16_384)
def key_of(dimension: Dimension, merchant_id: str, value: str) -> UUID:
    """What a value is counted under: 16 bytes that name nobody. `subject_key` in the database says the same."""
    return UUID(bytes=hashlib.sha256(f"{dimension}|{merchant_id}|{value}".encode()).digest()[:16])


def keys_of(merchant_id: str, user_id: str, ip: str, device_id: str, amount: Money | None) -> dict[Dimension, UUID]:
    """The keys under which a payment is counted; what is not known has none."""
    values = {Dimension.USER: user_id, Dimension.IP: ip, Dimension.DEVICE: device_id}
    if user_id and amount is not None:
        values[Dimension.USER_AMOUNT] = f"{user_id}|{amount.minor}|{amount.currency}"
    return {dimension: key_of(dimension, merchant_id, value) for dimension, value in values.items() if value}


def subject_keys(subject: Subject) -> dict[Dimension, UUID]:
    return keys_of(subject.merchant_id, subject.user_id, subject.ip, subject.device_id, subject.amount)


def sources_of(keys: Mapping[Dimension, UUID]) -> list[Source]:
    """The address and the device that the user of *keys* comes with."""
    user_key = keys.get(Dimension.USER)
    if user_key is None:
        return []
    return [Source(user_key, each, keys[each]) for each in (Dimension.IP, Dimension.DEVICE) if each in keys]


def lookback_seconds(rules: Iterable[Rule]) -> dict[Dimension, int]:
    """How far back each dimension must be read: the longest window of its rules, so that a busy address stays cheap."""
    longest: dict[Dimension, int] = {}
    for rule in rules:
        if rule.metric is not Metric.NEW_SOURCE:
            longest[rule.dimension] = max(longest.get(rule.dimension, 0), rule.window_seconds)
    return longest


def minute_of(moment: datetime) -> int:
    """The minute since 1970 that *moment* lies in."""
    return seconds_of(moment) // MINUTE


def seconds_of(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds())


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def windowed(buckets: Mapping[int, Counts], now: datetime, window_seconds: int) -> Counts:
    """What happened in the window that ends now.

    The minute that the window begins in counts by the share of it that lies inside, rounded down.
    """
    start = seconds_of(now) - window_seconds
    first, share = start // MINUTE, MINUTE - start % MINUTE
    total = Counts()
    for minute, counts in buckets.items():
        if minute > first:
            total.add(counts)
        elif minute == first:
            total.add(
                Counts(
                    counts.created * share // MINUTE,
                    counts.failed * share // MINUTE,
                    counts.succeeded * share // MINUTE,
                    counts.abandoned * share // MINUTE,
                    counts.amount * share // MINUTE,
                )
            )
    return total


def judge(rules: Sequence[Rule], subject: Subject, facts: Facts, waiting: "Waiting") -> Score:
    """Score one subject, which counts itself. *waiting* says what was scored lately and is not in *facts* yet."""
    keys = subject_keys(subject)
    if not facts.blocked.isdisjoint(keys.values()):
        return Score(subject, SCORE_MAX, Decision.BLOCK, (LIST_BLOCK,))
    if not facts.allowed.isdisjoint(keys.values()):
        return Score(subject, 0, Decision.ALLOW, (LIST_ALLOW,))
    measured = {
        rule.name: value for rule in rules if (value := _measure(rule, keys, subject, facts, waiting)) > rule.threshold
    }
    fired = [rule for rule in rules if rule.name in measured]
    active = [rule for rule in fired if rule.mode is Mode.ACTIVE]
    score = min(sum(rule.score for rule in active), SCORE_MAX)
    decision = max((_DECISION[rule.action] for rule in active), default=Decision.ALLOW)
    reasons = tuple(rule.name for rule in active)
    if score >= SCORE_REVIEW and decision is Decision.ALLOW:
        decision, reasons = Decision.REVIEW, (*reasons, SCORE_SUM)
    shadow = tuple(rule.name for rule in fired if rule.mode is Mode.SHADOW)
    return Score(subject, score, decision, reasons, shadow, measured)


def _measure(rule: Rule, keys: Mapping[Dimension, UUID], subject: Subject, facts: Facts, waiting: "Waiting") -> int:
    key = keys.get(rule.dimension)
    if key is None:
        return 0
    if rule.metric is Metric.NEW_SOURCE:
        user_key = keys.get(Dimension.USER)
        return int(user_key is not None and Source(user_key, rule.dimension, key) in facts.new_sources)
    measure = _MEASURE[rule.metric]
    value = measure(facts.within(key, rule.window_seconds)) + measure(waiting(key))
    match rule.metric:
        case Metric.CREATED:
            value += 1
        case Metric.AMOUNT:
            value += counted_amount(subject.amount)
    return value


Waiting = Callable[[UUID], Counts]


def counted_amount(amount: Money) -> int:
    """The minor units of *amount* that velocity sums up."""
    return amount.minor if amount.currency == VELOCITY_CURRENCY else 0


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened to a payment: what the counters are fed with."""

    metric: Metric
    payment_id: UUID
    merchant_id: str
    user_id: str
    ip: str
    device_id: str
    amount: Money
    at: datetime


def tally(events: Iterable[Happened], now: datetime) -> dict[tuple[UUID, int], Counts]:
    """What *events* add to each key and minute; events older than any window are left out, the future counts as now."""
    latest = minute_of(now)
    oldest = latest - WINDOW_SECONDS_MAX // MINUTE
    total: dict[tuple[UUID, int], Counts] = {}
    for event in events:
        minute = min(minute_of(event.at), latest)
        if minute < oldest:
            continue
        is_created = event.metric is Metric.CREATED
        keys = keys_of(
            event.merchant_id, event.user_id, event.ip, event.device_id, event.amount if is_created else None
        )
        for key in keys.values():
            counts = total.setdefault((key, minute), Counts())
            counts.add(_counts(event))
    return total


def _counts(event: Happened) -> Counts:
    return Counts(
        created=int(event.metric is Metric.CREATED),
        failed=int(event.metric is Metric.FAILED),
        succeeded=int(event.metric is Metric.SUCCEEDED),
        abandoned=int(event.metric is Metric.ABANDONED),
        amount=counted_amount(event.amount) if event.metric is Metric.CREATED else 0,
    )
