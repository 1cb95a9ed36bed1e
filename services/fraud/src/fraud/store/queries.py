"""Reads: rules, what is stored about subjects, stored decisions, sums."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from common.database import Row, Tx
from common.seals import DEVICE, IP
from fraud.domain.fraud_events import FraudEvent, FraudEventsFilter
from fraud.domain.history import DAY_SECONDS, History
from fraud.domain.reviews import Review, ReviewsFilter, Verdict
from fraud.domain.rules import Action, Decision, Mode, Rule
from fraud.domain.scores import Snapshot
from fraud.domain.subjects import Dimension, Source
from fraud.domain.velocity import Counts, Metric
from fraud.store import subject_lists

# Everything that a call needs to know, in one round trip: counters since each key's own minute (the plain lower bound
# lets Postgres skip partitions), list entries, and whether a source is new to a user who has others.
_SNAPSHOT = """
select 'velocity' as what, bucket.key, bucket.minute, bucket.created, bucket.failed, bucket.succeeded, bucket.abandoned,
       bucket.amount_minor, bucket.attempts_failed, cast(null as text) as value, cast(null as uuid) as source_key
from unnest(cast(:keys as uuid[]), cast(:since as integer[])) as subject (key, since)
     join velocity_buckets as bucket on bucket.key = subject.key and bucket.minute >= subject.since
where bucket.minute >= :earliest
union all
select 'listed', listable.key, 0, 0, 0, 0, 0, 0, 0, entry.verdict, null
from unnest(cast(:listable as uuid[]), cast(:indexes as bytea[])) as listable (key, value_index)
     join subject_lists as entry on entry.value_index = listable.value_index
where entry.expires_at is null or entry.expires_at > :now
union all
select 'new', source.user_key, 0, 0, 0, 0, 0, 0, 0, source.dimension, source.source_key
from unnest(cast(:user_keys as uuid[]), cast(:dimensions as text[]), cast(:source_keys as uuid[]))
     as source (user_key, dimension, source_key)
where exists (select from user_sources as stored
              where stored.user_key = source.user_key and stored.dimension = source.dimension)
  and not exists (select from user_sources as stored where stored.user_key = source.user_key
                  and stored.dimension = source.dimension and stored.source_key = source.source_key)
union all
select 'history', past.key, past.day, past.refunded, past.disputed, past.disputes_won, past.disputes_lost, 0, 0,
       null, null
from history_days as past where past.key = any(cast(:history_keys as uuid[])) and past.day >= :first_day
"""
_FRAUD_EVENTS = """
select * from fraud_events
where :reference = '' or payment_id = cast(:payment_id as uuid) or user_id = :reference
   or ip_index = cast(:ip_index as bytea) or device_index = cast(:device_index as bytea)
order by id desc limit :limit
"""
_REVIEWS = """
select * from fraud_events
where payment_id = any(cast(:payment_ids as uuid[])) and decision = 'REVIEW' order by id
"""
_PAGE_OF_REVIEWS = """
select * from reviews
where merchant_id = :merchant_id
  and (cast(:is_open as boolean) is null or (verdict is null) = :is_open)
  and (cast(:before as uuid) is null or payment_id < :before)
order by payment_id desc limit :limit
"""


async def enabled_rules(tx: Tx) -> list[Rule]:
    """The rules that are switched on, in a steady order."""
    rows = await tx.execute("select * from rules where enabled order by name")
    of_history = await tx.execute("select * from history_rules where enabled order by name")
    return [
        Rule(
            name=row.name,
            dimension=Dimension(row.dimension),
            metric=Metric(row.metric),
            window_seconds=row.window_seconds,
            threshold=row.threshold,
            score=row.score,
            action=Action(row.action),
            mode=Mode(row.mode),
        )
        for row in rows
    ] + [
        Rule(
            name=row.name,
            dimension=Dimension.USER,
            metric=Metric(row.metric),
            window_seconds=row.window_days * DAY_SECONDS,
            threshold=row.threshold,
            score=row.score,
            action=Action(row.action),
            mode=Mode(row.mode),
        )
        for row in of_history
    ]


async def snapshot(
    tx: Tx,
    since: Mapping[UUID, int],
    listable: Collection[UUID],
    sources: Collection[Source],
    now: datetime,
    history_keys: Collection[UUID] = (),
    first_day: int = 0,
) -> Snapshot:
    """Counters of each key of *since* from its minute on, list entries of *listable*, which *sources* are new, and what
    became of the payments of *history_keys* from *first_day* on."""
    indexes = subject_lists.indexes(tx.sealer, listable)
    rows = await tx.execute(
        _SNAPSHOT,
        keys=list(since),
        since=list(since.values()),
        earliest=min(since.values(), default=0),
        listable=list(indexes),
        indexes=list(indexes.values()),
        now=now,
        user_keys=[source.user_key for source in sources],
        dimensions=[source.dimension for source in sources],
        source_keys=[source.source_key for source in sources],
        history_keys=list(history_keys),
        first_day=first_day,
    )
    history: dict[UUID, dict[int, History]] = {}
    velocity: dict[UUID, dict[int, Counts]] = {}
    listed: dict[str, set[UUID]] = {"BLOCK": set(), "ALLOW": set()}
    new_sources: set[Source] = set()
    for row in rows:
        if row.what == "velocity":
            velocity.setdefault(row.key, {})[row.minute] = Counts(
                row.created, row.failed, row.attempts_failed, row.succeeded, row.abandoned, row.amount_minor
            )
        elif row.what == "history":
            # In the places of the counters of a minute.
            history.setdefault(row.key, {})[row.minute] = History(row.created, row.failed, row.succeeded, row.abandoned)
        elif row.what == "listed":
            listed[row.value].add(row.key)
        else:
            new_sources.add(Source(row.key, Dimension(row.value), row.source_key))
    return Snapshot(
        now, velocity, frozenset(listed["BLOCK"]), frozenset(listed["ALLOW"]), frozenset(new_sources), history
    )


async def fraud_events(tx: Tx, filter: FraudEventsFilter) -> list[FraudEvent]:
    """The newest decisions about a payment, a user, an address or a device; about all without a reference."""
    rows = await tx.execute(
        _FRAUD_EVENTS,
        reference=filter.reference,
        payment_id=filter.payment_id,
        ip_index=tx.sealer.blind_index(IP, filter.reference),
        device_index=tx.sealer.blind_index(DEVICE, filter.reference),
        limit=filter.limit,
    )
    return [_fraud_event(row) for row in rows]


async def reviews(tx: Tx, payment_ids: Collection[UUID]) -> list[FraudEvent]:
    """The REVIEW decisions about *payment_ids*, in a steady order."""
    if not payment_ids:
        return []
    return [_fraud_event(row) for row in await tx.execute(_REVIEWS, payment_ids=list(payment_ids))]


async def page_of_reviews(tx: Tx, filter: ReviewsFilter) -> list[Review]:
    """The reviews of one page, newest payment first."""
    rows = await tx.execute(
        _PAGE_OF_REVIEWS,
        merchant_id=filter.merchant_id,
        is_open=filter.is_open,
        before=filter.before,
        limit=filter.limit,
    )
    return [review(row) for row in rows]


async def open_review_count(tx: Tx) -> int:
    return int((await tx.execute("select count(*) from reviews where verdict is null")).scalar_one())


def review(row: Row) -> Review:
    return Review(
        payment_id=row.payment_id,
        merchant_id=row.merchant_id,
        user_id=row.user_id,
        score=row.score,
        reasons=tuple(row.reasons),
        opened_at=row.opened_at,
        verdict=Verdict(row.verdict) if row.verdict else None,
        decided_at=row.decided_at,
        actor_id=row.actor_id,
        reason=row.reason,
    )


async def decision_counts(tx: Tx) -> dict[Decision, int]:
    """How many decisions of each kind are stored."""
    rows = await tx.execute("select decision, count(*) as number from fraud_events group by decision")
    return {Decision[row.decision]: int(row.number) for row in rows}


def _fraud_event(row: Row) -> FraudEvent:
    return FraudEvent(
        event_id=row.id,
        at=row.created_at,
        merchant_id=row.merchant_id,
        payment_id=row.payment_id,
        user_id=row.user_id,
        score=row.score,
        decision=Decision[row.decision],
        reasons=tuple(row.reasons),
    )
