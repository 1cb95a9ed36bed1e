"""Tables and queries of fraud; the only SQL."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common import ids
from common.database import Tx
from fraud.domain import (
    Action,
    Counts,
    Decision,
    Dimension,
    Facts,
    Happened,
    Metric,
    Mode,
    Rule,
    Score,
    Source,
    keys_of,
    sources_of,
)

# Everything that a call needs to know, in one round trip: counters since each key's own minute (the plain lower bound
# lets Postgres skip partitions), list entries, and whether a source is new to a user who has others.
_FACTS = """
select 'velocity' as what, bucket.key, bucket.minute, bucket.created, bucket.failed, bucket.succeeded, bucket.abandoned,
       bucket.amount_minor, cast(null as text) as word, cast(null as uuid) as source_key
from unnest(cast(:keys as uuid[]), cast(:since as integer[])) as asked (key, since)
     join velocity_buckets as bucket on bucket.key = asked.key and bucket.minute >= asked.since
where bucket.minute >= :earliest
union all
select 'listed', key, 0, 0, 0, 0, 0, 0, verdict, null from subject_lists
where key = any(cast(:listable as uuid[])) and (expires_at is null or expires_at > :now)
union all
select 'new', asked.user_key, 0, 0, 0, 0, 0, 0, asked.dimension, asked.source_key
from unnest(cast(:user_keys as uuid[]), cast(:dimensions as text[]), cast(:source_keys as uuid[]))
     as asked (user_key, dimension, source_key)
where exists (select from user_sources as seen
              where seen.user_key = asked.user_key and seen.dimension = asked.dimension)
  and not exists (select from user_sources as seen where seen.user_key = asked.user_key
                  and seen.dimension = asked.dimension and seen.source_key = asked.source_key)
"""


async def rules(tx: Tx) -> list[Rule]:
    """The rules that are switched on, in a steady order."""
    rows = await tx.execute("select * from rules where enabled order by name")
    return [
        Rule(
            row.name,
            Dimension(row.dimension),
            Metric(row.metric),
            row.window_seconds,
            row.threshold,
            row.score,
            Action(row.action),
            Mode(row.mode),
        )
        for row in rows
    ]


async def facts(
    tx: Tx, since: Mapping[UUID, int], listable: Collection[UUID], sources: Collection[Source], now: datetime
) -> Facts:
    """What is known: counters of each key of *since* from its minute on, list entries, which *sources* are new."""
    rows = await tx.execute(
        _FACTS,
        keys=list(since),
        since=list(since.values()),
        earliest=min(since.values(), default=0),
        listable=list(listable),
        now=now,
        user_keys=[source.user_key for source in sources],
        dimensions=[source.dimension for source in sources],
        source_keys=[source.source_key for source in sources],
    )
    velocity: dict[UUID, dict[int, Counts]] = {}
    listed: dict[str, set[UUID]] = {"BLOCK": set(), "ALLOW": set()}
    new: set[Source] = set()
    for row in rows:
        if row.what == "velocity":
            velocity.setdefault(row.key, {})[row.minute] = Counts(
                row.created, row.failed, row.succeeded, row.abandoned, row.amount_minor
            )
        elif row.what == "listed":
            listed[row.word].add(row.key)
        else:
            new.add(Source(row.key, Dimension(row.word), row.source_key))
    return Facts(now, velocity, frozenset(listed["BLOCK"]), frozenset(listed["ALLOW"]), frozenset(new))


async def count(tx: Tx, tally: Mapping[tuple[UUID, int], Counts]) -> None:
    """Add to the counters; rows are taken in sorted order."""
    if not tally:
        return
    rows = sorted(tally.items(), key=lambda row: row[0])
    await tx.write(
        """
        insert into velocity_buckets as bucket (key, minute, created, failed, succeeded, abandoned, amount_minor)
        select * from unnest(cast(:keys as uuid[]), cast(:minutes as integer[]), cast(:created as integer[]),
                             cast(:failed as integer[]), cast(:succeeded as integer[]), cast(:abandoned as integer[]),
                             cast(:amounts as bigint[]))
        on conflict (key, minute) do update set
            created = bucket.created + excluded.created, failed = bucket.failed + excluded.failed,
            succeeded = bucket.succeeded + excluded.succeeded, abandoned = bucket.abandoned + excluded.abandoned,
            amount_minor = bucket.amount_minor + excluded.amount_minor
        """,
        keys=[key for (key, _), _ in rows],
        minutes=[minute for (_, minute), _ in rows],
        created=[counts.created for _, counts in rows],
        failed=[counts.failed for _, counts in rows],
        succeeded=[counts.succeeded for _, counts in rows],
        abandoned=[counts.abandoned for _, counts in rows],
        amounts=[counts.amount for _, counts in rows],
    )


async def see(tx: Tx, events: Sequence[Happened]) -> None:
    """Remember which user came from where, first and last; a source seen within the hour is left as it is."""
    seen: dict[Source, tuple[datetime, datetime]] = {}
    for event in events:
        for source in sources_of(keys_of(event.merchant_id, event.user_id, event.ip, event.device_id, None)):
            first, last = seen.get(source, (event.at, event.at))
            seen[source] = (min(first, event.at), max(last, event.at))
    if not seen:
        return
    rows = sorted(seen.items(), key=lambda row: (row[0].user_key, row[0].dimension, row[0].source_key))
    await tx.write(
        """
        insert into user_sources as known (user_key, dimension, source_key, first_seen, last_seen)
        select * from unnest(cast(:user_keys as uuid[]), cast(:dimensions as text[]), cast(:source_keys as uuid[]),
                             cast(:firsts as timestamptz[]), cast(:lasts as timestamptz[]))
        on conflict (user_key, dimension, source_key) do update set
            first_seen = least(known.first_seen, excluded.first_seen),
            last_seen = greatest(known.last_seen, excluded.last_seen)
        where excluded.first_seen < known.first_seen or excluded.last_seen > known.last_seen + interval '1 hour'
        """,
        user_keys=[source.user_key for source, _ in rows],
        dimensions=[source.dimension for source, _ in rows],
        source_keys=[source.source_key for source, _ in rows],
        firsts=[first for _, (first, _) in rows],
        lasts=[last for _, (_, last) in rows],
    )


async def insert(tx: Tx, scores: Sequence[Score], now: datetime) -> list[Score]:
    """Keep decisions that are not ALLOW; returns those of payments that had none yet."""
    ordered = sorted({score.subject.payment_id: score for score in scores}.values(), key=_payment_id)
    rows = await tx.execute(
        """
        insert into fraud_events (id, merchant_id, payment_id, user_id, ip, device_id, amount_minor, currency, score,
                                  decision, reasons, shadow_reasons, measured, created_at)
        select id, merchant_id, payment_id, user_id, ip, device_id, amount_minor, currency, score, decision,
               array(select jsonb_array_elements_text(cast(reasons as jsonb))),
               array(select jsonb_array_elements_text(cast(shadow as jsonb))), cast(measured as jsonb), :now
        from unnest(cast(:ids as uuid[]), cast(:merchant_ids as text[]), cast(:payment_ids as uuid[]),
                    cast(:user_ids as text[]), cast(:ips as text[]), cast(:device_ids as text[]),
                    cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:scores as integer[]),
                    cast(:decisions as text[]), cast(:reasons as text[]), cast(:shadow as text[]),
                    cast(:measured as text[]))
             as row (id, merchant_id, payment_id, user_id, ip, device_id, amount_minor, currency, score, decision,
                     reasons, shadow, measured)
        on conflict (payment_id) do nothing
        returning payment_id
        """,
        ids=[ids.new() for _ in ordered],
        merchant_ids=[score.subject.merchant_id for score in ordered],
        payment_ids=[score.subject.payment_id for score in ordered],
        user_ids=[score.subject.user_id for score in ordered],
        ips=[score.subject.ip for score in ordered],
        device_ids=[score.subject.device_id for score in ordered],
        amounts=[score.subject.amount.minor for score in ordered],
        currencies=[score.subject.amount.currency for score in ordered],
        scores=[score.score for score in ordered],
        decisions=[score.decision.name for score in ordered],
        reasons=[json.dumps(score.reasons) for score in ordered],
        shadow=[json.dumps(score.shadow) for score in ordered],
        measured=[json.dumps(score.measured) for score in ordered],
        now=now,
    )
    fresh = set(rows.scalars())
    return [score for score in ordered if score.subject.payment_id in fresh]


def _payment_id(score: Score) -> UUID:
    return score.subject.payment_id


@dataclass(frozen=True, slots=True)
class FraudEvent:
    """A stored decision."""

    event_id: UUID
    at: datetime
    merchant_id: str
    payment_id: UUID
    user_id: str
    score: int
    decision: Decision
    reasons: tuple[str, ...]


async def events(tx: Tx, reference: str, payment_id: UUID | None, limit: int) -> list[FraudEvent]:
    """The newest decisions about a payment, a user, an address or a device; about all when *reference* is empty."""
    rows = await tx.execute(
        """
        select * from fraud_events
        where :reference = '' or payment_id = cast(:payment_id as uuid) or user_id = :reference or ip = :reference
           or (device_id = :reference and device_id <> '')
        order by id desc limit :limit
        """,
        reference=reference,
        payment_id=payment_id,
        limit=limit,
    )
    return [_event(row) for row in rows]


async def reviews(tx: Tx, payment_ids: Collection[UUID]) -> list[FraudEvent]:
    """The REVIEW decisions about *payment_ids*, in a steady order."""
    if not payment_ids:
        return []
    rows = await tx.execute(
        """
        select * from fraud_events
        where payment_id = any(cast(:payment_ids as uuid[])) and decision = 'REVIEW' order by id
        """,
        payment_ids=list(payment_ids),
    )
    return [_event(row) for row in rows]


def _event(row: Any) -> FraudEvent:
    return FraudEvent(
        row.id,
        row.created_at,
        row.merchant_id,
        row.payment_id,
        row.user_id,
        row.score,
        Decision[row.decision],
        tuple(row.reasons),
    )


async def totals(tx: Tx) -> dict[str, int]:
    """How many payments were held and refused."""
    rows = await tx.execute("select decision, count(*) as number from fraud_events group by decision")
    found = {row.decision: int(row.number) for row in rows}
    return {"fraud.reviews": found.get("REVIEW", 0), "fraud.blocks": found.get("BLOCK", 0)}


async def keep_partitions(tx: Tx) -> None:
    """Make the counters' partitions of the days to come, drop those that no window reaches."""
    await tx.execute("select keep_velocity_partitions()")
