"""Writes: counters, sources, decisions, partitions. Rows are taken in sorted order."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common import ids
from common.database import Tx
from common.seals import DEVICE, IP, Sealer
from fraud.domain.fraud_events import FraudEvent
from fraud.domain.reviews import Review
from fraud.domain.scores import Score
from fraud.domain.subjects import Source, keys_of, sources_of
from fraud.domain.velocity import Counts, PaymentActivity
from fraud.store import queries

_ADD_COUNTS = """
insert into velocity_buckets as bucket (key, minute, created, failed, succeeded, abandoned, amount_minor,
    attempts_failed)
select * from unnest(cast(:keys as uuid[]), cast(:minutes as integer[]), cast(:created as integer[]),
                     cast(:failed as integer[]), cast(:succeeded as integer[]), cast(:abandoned as integer[]),
                     cast(:amounts as bigint[]), cast(:attempts as integer[]))
on conflict (key, minute) do update set
    created = bucket.created + excluded.created, failed = bucket.failed + excluded.failed,
    succeeded = bucket.succeeded + excluded.succeeded, abandoned = bucket.abandoned + excluded.abandoned,
    amount_minor = bucket.amount_minor + excluded.amount_minor,
    attempts_failed = bucket.attempts_failed + excluded.attempts_failed
"""
_RECORD_SOURCES = """
insert into user_sources as stored (user_key, dimension, source_key, first_seen, last_seen)
select * from unnest(cast(:user_keys as uuid[]), cast(:dimensions as text[]), cast(:source_keys as uuid[]),
                     cast(:firsts as timestamptz[]), cast(:lasts as timestamptz[]))
on conflict (user_key, dimension, source_key) do update set
    first_seen = least(stored.first_seen, excluded.first_seen),
    last_seen = greatest(stored.last_seen, excluded.last_seen)
where excluded.first_seen < stored.first_seen or excluded.last_seen > stored.last_seen + interval '1 hour'
"""
_INSERT_DECISIONS = """
insert into fraud_events (id, merchant_id, payment_id, user_id, ip_index, device_index, amount_minor, currency, score,
                          decision, reasons, shadow_reasons, measured, created_at)
select id, merchant_id, payment_id, user_id, ip_index, device_index, amount_minor, currency, score, decision,
       array(select jsonb_array_elements_text(cast(reasons as jsonb))),
       array(select jsonb_array_elements_text(cast(shadow as jsonb))), cast(measured as jsonb), :now
from unnest(cast(:ids as uuid[]), cast(:merchant_ids as text[]), cast(:payment_ids as uuid[]),
            cast(:user_ids as text[]), cast(:ip_indexes as bytea[]), cast(:device_indexes as bytea[]),
            cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:scores as integer[]),
            cast(:decisions as text[]), cast(:reasons as text[]), cast(:shadow as text[]),
            cast(:measured as text[]))
     as row (id, merchant_id, payment_id, user_id, ip_index, device_index, amount_minor, currency, score, decision,
             reasons, shadow, measured)
on conflict (payment_id) do nothing
returning payment_id
"""
_OPEN_REVIEWS = """
insert into reviews (payment_id, merchant_id, user_id, score, reasons, opened_at)
select payment_id, merchant_id, user_id, score, reasons, :now from fraud_events
where payment_id = any(cast(:ids as uuid[])) order by payment_id
on conflict (payment_id) do nothing
returning payment_id
"""
_MAKE_REVIEWS = """
insert into reviews (payment_id, merchant_id, user_id, score, reasons, opened_at)
select payment_id, merchant_id, user_id, score, reasons, created_at from fraud_events
where payment_id = any(cast(:ids as uuid[])) and decision = 'REVIEW' order by payment_id
on conflict (payment_id) do nothing
"""
_LOCK_REVIEWS = """
select * from reviews where payment_id = any(cast(:ids as uuid[])) order by payment_id for no key update
"""
_SAVE_REVIEW = """
update reviews set verdict = :verdict, decided_at = :decided_at, actor_id = :actor_id, reason = :reason
where payment_id = :payment_id
"""


async def add_counts(tx: Tx, tally: Mapping[tuple[UUID, int], Counts]) -> None:
    """Add to the counters of each (key, minute)."""
    if not tally:
        return
    rows = sorted(tally.items(), key=lambda row: row[0])
    await tx.write(
        "velocity_buckets",
        _ADD_COUNTS,
        keys=[key for (key, _), _ in rows],
        minutes=[minute for (_, minute), _ in rows],
        created=[counts.created for _, counts in rows],
        failed=[counts.failed for _, counts in rows],
        succeeded=[counts.succeeded for _, counts in rows],
        abandoned=[counts.abandoned for _, counts in rows],
        amounts=[counts.amount for _, counts in rows],
        attempts=[counts.attempts_failed for _, counts in rows],
    )


async def record_sources(tx: Tx, activities: Sequence[PaymentActivity]) -> None:
    """Record which user came from where, first and last; a source seen within the hour is left as it is."""
    spans: dict[Source, tuple[datetime, datetime]] = {}
    for activity in activities:
        keys = keys_of(activity.merchant_id, activity.user_id, activity.ip, activity.device_id, None)
        for source in sources_of(keys):
            first, last = spans.get(source, (activity.at, activity.at))
            spans[source] = (min(first, activity.at), max(last, activity.at))
    if not spans:
        return
    rows = sorted(spans.items(), key=lambda row: (row[0].user_key, row[0].dimension, row[0].source_key))
    await tx.write(
        "user_sources",
        _RECORD_SOURCES,
        user_keys=[source.user_key for source, _ in rows],
        dimensions=[source.dimension for source, _ in rows],
        source_keys=[source.source_key for source, _ in rows],
        firsts=[first for _, (first, _) in rows],
        lasts=[last for _, (_, last) in rows],
    )


async def insert_decisions(tx: Tx, scores: Sequence[Score], now: datetime) -> list[Score]:
    """Store decisions that are not ALLOW; returns those of payments that had none yet."""
    ordered = sorted({score.subject.payment_id: score for score in scores}.values(), key=_payment_id)
    rows = await tx.execute(
        _INSERT_DECISIONS,
        ids=[ids.new() for _ in ordered],
        merchant_ids=[score.subject.merchant_id for score in ordered],
        payment_ids=[score.subject.payment_id for score in ordered],
        user_ids=[score.subject.user_id for score in ordered],
        ip_indexes=[_index(tx.sealer, IP, score.subject.ip) for score in ordered],
        device_indexes=[_index(tx.sealer, DEVICE, score.subject.device_id) for score in ordered],
        amounts=[score.subject.amount.minor for score in ordered],
        currencies=[score.subject.amount.currency for score in ordered],
        scores=[score.score for score in ordered],
        decisions=[score.decision.name for score in ordered],
        reasons=[_json(score.reasons) for score in ordered],
        shadow=[_json(score.shadow) for score in ordered],
        measured=[_json(score.measured) for score in ordered],
        now=now,
    )
    inserted = set(rows.scalars())
    return [score for score in ordered if score.subject.payment_id in inserted]


async def open_reviews(tx: Tx, events: Sequence[FraudEvent], now: datetime) -> list[FraudEvent]:
    """Open a review of each payment to be reviewed; returns those that had none yet."""
    if not events:
        return []
    ordered = sorted(events, key=lambda event: event.payment_id)
    opened = set((await tx.execute(_OPEN_REVIEWS, ids=[event.payment_id for event in ordered], now=now)).scalars())
    return [event for event in ordered if event.payment_id in opened]


async def lock_reviews(tx: Tx, payment_ids: Collection[UUID]) -> dict[UUID, Review]:
    """The reviews of payments, made if they were flagged before reviews were kept; without those of none to review."""
    ordered = sorted(payment_ids)
    await tx.execute(_MAKE_REVIEWS, ids=ordered)
    return {row.payment_id: queries.review(row) for row in await tx.execute(_LOCK_REVIEWS, ids=ordered)}


async def save_review(tx: Tx, review: Review) -> None:
    await tx.execute(
        _SAVE_REVIEW,
        payment_id=review.payment_id,
        verdict=review.verdict.value if review.verdict else None,
        decided_at=review.decided_at,
        actor_id=review.actor_id,
        reason=review.reason,
    )


async def keep_partitions(tx: Tx) -> None:
    """Make the counters' partitions of the days to come, drop those that no window reaches."""
    await tx.execute("select keep_velocity_partitions()")


async def clear_origins(tx: Tx, before: datetime, rows_max: int) -> int:
    """Clear the blind indexes of address and device in decisions from before *before*; in how many."""
    rows = await tx.execute("select clear_decision_origins(:before, :rows_max)", before=before, rows_max=rows_max)
    return int(rows.scalar_one())


def _index(sealer: Sealer, kind: str, text: str) -> bytes | None:
    return sealer.blind_index(kind, text) if text else None


def _payment_id(score: Score) -> UUID:
    return score.subject.payment_id


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
