"""Score payments, and count what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from common import outbox, telemetry
from common.clock import Clock
from common.database import Database, Tx, retried
from fraud import domain, store, wire
from fraud.domain import Decision, Dimension, Happened, Metric, Mode, Rule, Score, Source, Subject
from fraud.in_flight import InFlight

_decisions = telemetry.counter("fraud_decisions_total", "Payments scored", ["decision"])
_fired = telemetry.counter("fraud_rules_fired_total", "Rules that fired", ["rule", "mode"])


@dataclass(slots=True)
class RuleBook:
    """The rules as they were read last; a database that is away leaves the last ones in force."""

    rules: Sequence[Rule] = field(default_factory=tuple)

    async def refresh(self, db: Database) -> None:
        async with db.begin() as tx:
            self.rules = tuple(await store.rules(tx))


@retried
async def score_subjects(
    db: Database, rules: Sequence[Rule], in_flight: InFlight, clock: Clock, subjects: Sequence[Subject]
) -> list[Score]:
    """A score for each subject, in order; what is not ALLOW is kept, and operators are told, once per payment.

    Nothing is flagged yet: most of what is scored becomes a payment, a try that is answered otherwise does not.
    """
    now = clock.now()
    in_flight.expire(now)
    # The caller has 50 ms, and on a full machine each round trip may take ten: nearly always it is this one.
    async with db.autocommit() as tx:
        facts = await _facts(tx, rules, subjects, now)
    scores = []
    for subject in subjects:
        scores.append(domain.judge(rules, subject, facts, in_flight.besides(subject)))
        in_flight.add(subject, now)
    remarkable = [score for score in scores if score.decision is not Decision.ALLOW]
    if remarkable:
        async with db.begin() as tx:
            fresh = await store.insert(tx, remarkable, now)
            await outbox.append(tx, wire.alerts(fresh, now))
    _observe(rules, scores)
    return scores


async def _facts(tx: Tx, rules: Sequence[Rule], subjects: Sequence[Subject], now: datetime) -> domain.Facts:
    lookback = domain.lookback_seconds(rules)
    asks_sources = {rule.dimension for rule in rules if rule.metric is Metric.NEW_SOURCE}
    since: dict[UUID, int] = {}
    listable: set[UUID] = set()
    sources: set[Source] = set()
    for subject in subjects:
        keys = domain.subject_keys(subject)
        for dimension, key in keys.items():
            if dimension in lookback:
                since[key] = (domain.seconds_of(now) - lookback[dimension]) // domain.MINUTE
            if dimension is not Dimension.USER_AMOUNT:
                listable.add(key)
        sources.update(source for source in domain.sources_of(keys) if source.dimension in asks_sources)
    return await store.facts(tx, since, listable, sources, now)


def _observe(rules: Sequence[Rule], scores: Sequence[Score]) -> None:
    modes = {rule.name: rule.mode for rule in rules}
    for score in scores:
        _decisions.of(score.decision.name).inc()
        for name in (*score.reasons, *score.shadow):
            _fired.of(name, modes.get(name, Mode.ACTIVE)).inc()


async def count_payments(in_flight: InFlight, clock: Clock, tx: Tx, events: Sequence[Happened]) -> None:
    """Feed the counters and the history, and flag the payments that are there now and were to be reviewed.

    Each event counts, and flags, once because its envelope is claimed once.
    """
    now = clock.now()
    created = [event for event in events if event.metric is Metric.CREATED]
    reviews = await store.reviews(tx, {event.payment_id for event in created})
    await store.count(tx, domain.tally(events, now))
    await store.see(tx, created)
    await outbox.append(tx, wire.flagged(reviews, now))
    in_flight.settle(event.payment_id for event in created)


async def list_events(db: Database, question: wire.EventsAsked) -> list[store.FraudEvent]:
    """The newest decisions about a payment, user, address or device."""
    async with db.begin() as tx:
        return await store.events(tx, question.reference, question.payment_id, question.limit)


async def keep_partitions(db: Database) -> None:
    async with db.begin() as tx:
        await store.keep_partitions(tx)
