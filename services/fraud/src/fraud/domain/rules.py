"""Rules: rows that say what is measured, when they fire, and what follows."""

from collections.abc import Iterable
from enum import IntEnum, StrEnum

from msgspec import Struct

from fraud.domain.subjects import Dimension
from fraud.domain.velocity import HISTORY_METRICS, Metric


class Action(StrEnum):
    """What a rule that fires demands; SCORE only adds its points."""

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


class Rule(Struct, frozen=True):
    """Fires when the metric within the window, this payment included, is greater than the threshold."""

    name: str
    dimension: Dimension
    metric: Metric
    window_seconds: int
    threshold: int
    score: int
    action: Action
    mode: Mode


def lookback_seconds(rules: Iterable[Rule]) -> dict[Dimension, int]:
    """How far back each dimension must be read: the longest window of its rules, so that a busy address stays cheap."""
    longest: dict[Dimension, int] = {}
    for rule in rules:
        if rule.metric is not Metric.NEW_SOURCE and rule.metric not in HISTORY_METRICS:
            longest[rule.dimension] = max(longest.get(rule.dimension, 0), rule.window_seconds)
    return longest


def history_seconds(rules: Iterable[Rule]) -> int:
    """How far back refunds and disputes must be read; 0 when no rule looks at them."""
    return max((rule.window_seconds for rule in rules if rule.metric in HISTORY_METRICS), default=0)
