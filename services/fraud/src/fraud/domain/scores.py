"""The decision about one payment: lists first, then the rules over its counters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from fraud.domain import history
from fraud.domain.history import History
from fraud.domain.rules import Action, Decision, Mode, Rule
from fraud.domain.subjects import Dimension, Source, Subject, attempt_keys, subject_keys
from fraud.domain.velocity import HISTORY_METRICS, Counts, Metric, counted_amount, window_counts

SUBJECTS_MAX: Final = 500
SCORE_MAX: Final = 1000
# Weak signals that add up to this deserve a person's look.
SCORE_REVIEW: Final = 700
LIST_BLOCK: Final = "list_block"
LIST_ALLOW: Final = "list_allow"
SCORE_SUM: Final = "score_sum"

_DECISION: Final[Mapping[Action, Decision]] = {
    Action.SCORE: Decision.ALLOW,
    Action.REVIEW: Decision.REVIEW,
    Action.BLOCK: Decision.BLOCK,
}
assert _DECISION.keys() == set(Action), "every action needs its decision"

_COUNT: Final[Mapping[Metric, Callable[[Counts], int]]] = {
    Metric.CREATED: attrgetter("created"),
    Metric.FAILED: attrgetter("failed"),
    Metric.ATTEMPT_FAILED: attrgetter("attempts_failed"),
    Metric.SUCCEEDED: attrgetter("succeeded"),
    Metric.ABANDONED: attrgetter("abandoned"),
    Metric.AMOUNT: attrgetter("amount"),
}
_HISTORY: Final[Mapping[Metric, Callable[[History], int]]] = {
    Metric.REFUNDED: attrgetter("refunded"),
    Metric.DISPUTED: attrgetter("disputed"),
    Metric.DISPUTE_WON: attrgetter("disputes_won"),
    Metric.DISPUTE_LOST: attrgetter("disputes_lost"),
}
assert _HISTORY.keys() == HISTORY_METRICS, "every metric by the day needs its measurement"
assert _COUNT.keys() | {Metric.NEW_SOURCE} | HISTORY_METRICS == set(Metric), "every metric needs its measurement"
_NO_COUNTS: Final = Counts()

# What was scored a moment ago and has not been counted yet, by key.
InFlightCounts = Callable[[UUID], Counts]


class Snapshot(Struct, frozen=True):
    """What is stored about the keys of one call, read at one moment."""

    at: datetime
    # Key → minute since 1970 → what happened in it.
    velocity: Mapping[UUID, Mapping[int, Counts]] = field(default_factory=dict)
    blocked: frozenset[UUID] = frozenset()
    allowed: frozenset[UUID] = frozenset()
    # Sources that are new to their user, who has others.
    new_sources: frozenset[Source] = frozenset()
    # Key → day since 1970 → what became of the user's payments.
    history: Mapping[UUID, Mapping[int, History]] = field(default_factory=dict)
    # Computed once for each key and window: many subjects of one call may share an address.
    window_totals: dict[tuple[UUID, int], Counts] = field(default_factory=dict)

    def within(self, key: UUID, window_seconds: int) -> Counts:
        """What happened to *key* in the window that ended when this was read."""
        buckets = self.velocity.get(key)
        if buckets is None:
            return _NO_COUNTS
        total = self.window_totals.get((key, window_seconds))
        if total is None:
            total = self.window_totals[key, window_seconds] = window_counts(buckets, self.at, window_seconds)
        return total


class Score(Struct, frozen=True):
    """The result for one subject.

    *reasons* names the rules that decided, *shadow* the SHADOW rules that fired, *measured* what each of them saw.
    """

    subject: Subject
    score: int
    decision: Decision
    reasons: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    measured: Mapping[str, int] = field(default_factory=dict)


def score_subject(rules: Sequence[Rule], subject: Subject, snapshot: Snapshot, in_flight: InFlightCounts) -> Score:
    """Score one subject, which counts itself."""
    keys = subject_keys(subject)
    if not snapshot.blocked.isdisjoint(keys.values()):
        return Score(subject, SCORE_MAX, Decision.BLOCK, (LIST_BLOCK,))
    if not snapshot.allowed.isdisjoint(keys.values()):
        return Score(subject, 0, Decision.ALLOW, (LIST_ALLOW,))
    measured = {
        rule.name: value
        for rule in rules
        if (value := _measure(rule, keys, subject, snapshot, in_flight)) > rule.threshold
    }
    return _judged(subject, rules, measured)


def score_failed_attempts(rules: Sequence[Rule], subject: Subject, snapshot: Snapshot) -> Score:
    """Score a payment that exists by its failed attempts, which are counted already: cards are tried on one order.

    It cannot be refused any more: what would block a payment that is about to be made sends this one to a person.
    """
    keys = attempt_keys(subject)
    if not snapshot.allowed.isdisjoint(keys.values()):
        return Score(subject, 0, Decision.ALLOW, (LIST_ALLOW,))
    measured = {
        rule.name: value
        for rule in rules
        if rule.metric is Metric.ATTEMPT_FAILED
        and rule.dimension in keys
        and (value := snapshot.within(keys[rule.dimension], rule.window_seconds).attempts_failed) > rule.threshold
    }
    score = _judged(subject, rules, measured)
    return replace(score, decision=min(score.decision, Decision.REVIEW))


def _judged(subject: Subject, rules: Sequence[Rule], measured: Mapping[str, int]) -> Score:
    """The severest action of the active rules that fired, or a review when weak signals add up."""
    fired = [rule for rule in rules if rule.name in measured]
    active = [rule for rule in fired if rule.mode is Mode.ACTIVE]
    score = min(sum(rule.score for rule in active), SCORE_MAX)
    decision = max((_DECISION[rule.action] for rule in active), default=Decision.ALLOW)
    reasons = tuple(rule.name for rule in active)
    if score >= SCORE_REVIEW and decision is Decision.ALLOW:
        decision, reasons = Decision.REVIEW, (*reasons, SCORE_SUM)
    shadow = tuple(rule.name for rule in fired if rule.mode is Mode.SHADOW)
    return Score(subject, score, decision, reasons, shadow, measured)


def _measure(
    rule: Rule, keys: Mapping[Dimension, UUID], subject: Subject, snapshot: Snapshot, in_flight: InFlightCounts
) -> int:
    key = keys.get(rule.dimension)
    if key is None:
        return 0
    if rule.metric is Metric.NEW_SOURCE:
        user_key = keys.get(Dimension.USER)
        return int(user_key is not None and Source(user_key, rule.dimension, key) in snapshot.new_sources)
    if rule.metric in HISTORY_METRICS:
        days = snapshot.history.get(key)
        first = history.first_day(snapshot.at, rule.window_seconds)
        return 0 if days is None else _HISTORY[rule.metric](history.within(days, first))
    count = _COUNT[rule.metric]
    value = count(snapshot.within(key, rule.window_seconds)) + count(in_flight(key))
    match rule.metric:
        case Metric.CREATED:
            value += 1
        case Metric.AMOUNT:
            value += counted_amount(subject.amount)
    return value
