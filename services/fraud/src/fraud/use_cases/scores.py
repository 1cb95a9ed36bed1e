"""Score payments that are about to be made."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common import outbox, telemetry
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import require_at_most
from fraud.domain import history, scores, subjects, velocity
from fraud.domain.rules import Decision, Mode, Rule, history_seconds, lookback_seconds
from fraud.domain.scores import SUBJECTS_MAX, Score, Snapshot
from fraud.domain.subjects import Dimension, Source, Subject
from fraud.domain.velocity import Metric
from fraud.in_flight import InFlightRequests
from fraud.store import commands, queries
from fraud.wire import events

_decisions = telemetry.counter("fraud_decisions_total", "Payments scored", ["decision"])
_fired = telemetry.counter("fraud_rules_fired_total", "Rules that fired", ["rule", "mode"])


@retried
async def score_subjects(
    db: Database, rules: Sequence[Rule], in_flight: InFlightRequests, clock: Clock, requested: Sequence[Subject]
) -> list[Score]:
    """A score for each subject, in order; what is not ALLOW is stored and raises an alert, once per payment.

    Nothing is flagged yet: most of what is scored becomes a payment, a try that is refused later does not.
    Raises LimitExceeded.
    """
    require_at_most(SUBJECTS_MAX, subjects=len(requested))
    now = clock.now()
    in_flight.expire(now)
    # The caller has 50 ms, and on a full machine each round trip may take ten: nearly always this is the only one.
    async with db.autocommit() as tx:
        snapshot = await _snapshot(tx, rules, requested, now)
    results = []
    for subject in requested:
        results.append(scores.score_subject(rules, subject, snapshot, in_flight.counts_without(subject)))
        in_flight.add(subject, now)
    not_allowed = [score for score in results if score.decision is not Decision.ALLOW]
    if not_allowed:
        async with db.begin() as tx:
            inserted = await commands.insert_decisions(tx, not_allowed, now)
            await outbox.append(tx, events.fraud_anomalies(inserted, now))
    _count_metrics(rules, results)
    return results


async def score_attempts(tx: Tx, rules: Sequence[Rule], tried: Sequence[Subject], now: datetime) -> list[Score]:
    """A score for each payment by its failed attempts, which *tx* has counted already."""
    attempt_rules = [rule for rule in rules if rule.metric is Metric.ATTEMPT_FAILED]
    lookback = lookback_seconds(attempt_rules)
    since: dict[UUID, int] = {}
    listable: set[UUID] = set()
    for subject in tried:
        for dimension, key in subjects.attempt_keys(subject).items():
            if dimension in lookback:
                since[key] = (velocity.seconds_of(now) - lookback[dimension]) // velocity.MINUTE
            listable.add(key)
    snapshot = await queries.snapshot(tx, since, listable, (), now)
    results = [scores.score_failed_attempts(attempt_rules, subject, snapshot) for subject in tried]
    _count_fired(rules, results)
    return results


async def _snapshot(tx: Tx, rules: Sequence[Rule], requested: Sequence[Subject], now: datetime) -> Snapshot:
    """Read no more than the rules look at."""
    lookback = lookback_seconds(rules)
    source_dimensions = {rule.dimension for rule in rules if rule.metric is Metric.NEW_SOURCE}
    since: dict[UUID, int] = {}
    listable: set[UUID] = set()
    sources: set[Source] = set()
    users: set[UUID] = set()
    lookback_of_history = history_seconds(rules)
    for subject in requested:
        keys = subjects.subject_keys(subject)
        for dimension, key in keys.items():
            if dimension in lookback:
                since[key] = (velocity.seconds_of(now) - lookback[dimension]) // velocity.MINUTE
            if dimension is not Dimension.USER_AMOUNT:
                listable.add(key)
        sources.update(source for source in subjects.sources_of(keys) if source.dimension in source_dimensions)
        if lookback_of_history and Dimension.USER in keys:
            users.add(keys[Dimension.USER])
    first_day = history.first_day(now, lookback_of_history)
    return await queries.snapshot(tx, since, listable, sources, now, users, first_day)


def _count_metrics(rules: Sequence[Rule], results: Sequence[Score]) -> None:
    for score in results:
        _decisions.of(score.decision.name).inc()
    _count_fired(rules, results)


def _count_fired(rules: Sequence[Rule], results: Sequence[Score]) -> None:
    modes = {rule.name: rule.mode for rule in rules}
    for score in results:
        for name in (*score.reasons, *score.shadow):
            _fired.of(name, modes.get(name, Mode.ACTIVE)).inc()
