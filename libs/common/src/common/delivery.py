"""The common gRPC service that every service mounts: delivery checks, totals, timelines and dead letters."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from commdesk.common.v1 import delivery_pb2 as pb
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceServicer
from common import checkpoints, dead_letters, ids, request_log
from common.broker import Publisher
from common.database import Database, Row, Tx, retried
from common.errors import RequestInvalid, Unavailable, require_at_most
from common.events import from_micros, micros
from common.grpc_server import CallContext
from common.outbox import Outgoing
from common.request_log import LoggedRequest
from common.texts import storable
from common.times import TimeOutOfRange
from common.topology import CONTRACT, REQUEUE

LIMIT_MAX = 1000
DEAD_LETTER = "dlq"

_PUBLISHED = """
select envelope_id, exchange, routing_key, published_at is not null as confirmed from outbox
where envelope_id >= :after and envelope_id < :before
order by envelope_id limit :rows
"""
_CLAIMED = "select envelope_id from inbox where consumer = :consumer and envelope_id = any(cast(:ids as uuid[]))"
_AGAIN = """
update outbox set published_at = null, leased_until = null, refused = null
where envelope_id = any(cast(:ids as uuid[]))
returning 1
"""
_STORED = """
select envelope_id, exchange, routing_key, mandatory, type, body from outbox
where envelope_id = any(cast(:ids as uuid[])) order by envelope_id
"""
# Each count walks a partial index that is nearly empty.
_WAITING = """
select (select count(*) from outbox where published_at is null) as outbox_unmarked,
       (select count(*) from outbox where published_at is null and refused is not null) as outbox_refused,
       (select count(*) from intents where done_at is null) as intents_pending,
       (select count(*) from dead_letters where status = 'OPEN') as dead_letters_open
"""
# The first entry of the same index: an envelope's id is as old as its announcement.
_OLDEST = "select envelope_id from outbox where published_at is null order by envelope_id limit 1"
# These walk everything: only on request.
_TOTAL = "select (select count(*) from outbox) as outbox_total, (select count(*) from inbox) as inbox_total"


class RepublishIncomplete(Unavailable):
    """The broker did not confirm all of it."""

    fix = "Ask again: a second delivery has no second effect."


class TimelineEntry(Struct, frozen=True):
    """One line of a timeline. No personal data: operators paste timelines into tickets."""

    time: datetime
    kind: str
    summary: str
    fields: Mapping[str, str] = {}


class Timeline(Struct, frozen=True):
    """What one service knows of a reference, and the other ids under which the timeline goes on."""

    entries: Sequence[TimelineEntry] = ()
    references: Sequence[str] = ()


ReadTimeline = Callable[[Tx, str], Awaitable[Timeline]]
Totals = Callable[[Tx], Awaitable[Mapping[str, int]]]


async def no_timeline(tx: Tx, reference: str) -> Timeline:
    """For services that know nothing of references."""
    return Timeline()


async def no_totals(tx: Tx) -> Mapping[str, int]:
    """For services that keep no books."""
    return {}


class DeliveryServicer(DeliveryServiceServicer):
    """See protos/commdesk/common/v1/delivery.proto."""

    def __init__(
        self,
        db: Database,
        publisher: Publisher,
        read_timeline: ReadTimeline,
        totals: Totals,
        recent_totals: Totals | None = None,
    ) -> None:
        self._db = db
        self._publisher = publisher
        self._read_timeline = read_timeline
        self._totals = totals
        self._recent_totals = recent_totals

    async def ListPublished(self, request: pb.ListPublishedRequest, context: CallContext) -> pb.ListPublishedResponse:
        after = ids.lower_bound(_moment(request.from_unix_micros))
        if request.after_id:
            after = max(after, UUID(int=_uuid(request.after_id).int + 1))
        async with self._db.begin() as tx:
            rows = await tx.execute(
                _PUBLISHED,
                after=after,
                before=ids.lower_bound(_moment(request.to_unix_micros)),
                rows=min(request.limit or LIMIT_MAX, LIMIT_MAX),
            )
        return pb.ListPublishedResponse(
            envelopes=[
                pb.PublishedEnvelope(
                    id=row.envelope_id.bytes,
                    exchange=row.exchange,
                    routing_key=row.routing_key,
                    confirmed=row.confirmed,
                )
                for row in rows
            ]
        )

    async def ListClaimed(self, request: pb.ListClaimedRequest, context: CallContext) -> pb.ListClaimedResponse:
        async with self._db.begin() as tx:
            rows = await tx.execute(_CLAIMED, consumer=request.consumer, ids=_uuids(request.ids))
        return pb.ListClaimedResponse(ids=[row.envelope_id.bytes for row in rows])

    async def Republish(self, request: pb.RepublishRequest, context: CallContext) -> pb.RepublishResponse:
        envelope_ids = _uuids(request.ids)
        if not request.queue:
            async with self._db.begin() as tx:
                marked = await tx.execute(_AGAIN, ids=envelope_ids)
            return pb.RepublishResponse(republished=len(marked))
        async with self._db.begin() as tx:
            rows = [_again(row) for row in await tx.execute(_STORED, ids=envelope_ids)]
        receipt = await self._publisher.publish(rows)
        if len(receipt.confirmed) < len(rows):
            raise RepublishIncomplete(f"{len(receipt.confirmed)} of {len(rows)} were confirmed")
        return pb.RepublishResponse(republished=len(receipt.confirmed))

    async def Totals(self, request: pb.TotalsRequest, context: CallContext) -> pb.TotalsResponse:
        if request.since_checkpoint and self._recent_totals is not None:
            totals = await _since_checkpoint(self._db, self._totals, self._recent_totals, request.verify_checkpoint)
            return pb.TotalsResponse(totals=totals)
        async with self._db.begin() as tx:
            # One snapshot: sums taken by several statements must belong together.
            await tx.execute("set transaction isolation level repeatable read read only")
            return pb.TotalsResponse(totals=await self._totals(tx))

    async def Backlog(self, request: pb.BacklogRequest, context: CallContext) -> pb.BacklogResponse:
        return await backlog(self._db)

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: CallContext
    ) -> pb.ListDeadLettersResponse:
        async with self._db.begin() as tx:
            rows = await dead_letters.find(
                tx,
                queue=request.queue,
                type_name=request.type,
                error_code=request.error_code,
                status=request.status,
                dead_letter_ids=_dead_letter_ids(request.ids),
                limit=request.limit or 100,
            )
        return pb.ListDeadLettersResponse(dead_letters=[_dead_letter(row) for row in rows])

    async def ReplayDeadLetters(
        self, request: pb.ReplayDeadLettersRequest, context: CallContext
    ) -> pb.ReplayDeadLettersResponse:
        async with self._db.begin() as tx:
            count = await dead_letters.replay(tx, _dead_letter_ids(request.ids), request.actor, request.reason)
        return pb.ReplayDeadLettersResponse(replayed=count)

    async def DiscardDeadLetters(
        self, request: pb.DiscardDeadLettersRequest, context: CallContext
    ) -> pb.DiscardDeadLettersResponse:
        async with self._db.begin() as tx:
            count = await dead_letters.discard(tx, _dead_letter_ids(request.ids), request.actor, request.reason)
        return pb.DiscardDeadLettersResponse(discarded=count)

    async def ListApiRequests(
        self, request: pb.ListApiRequestsRequest, context: CallContext
    ) -> pb.ListApiRequestsResponse:
        limit = request.limit or request_log.PAGE_MAX
        require_at_most(request_log.PAGE_MAX, limit=limit)
        wanted = request_log.Filter(
            merchant_id=storable(request.merchant_id, request_log.TEXT_LENGTH_MAX),
            before=_uuid(request.before_id) if request.before_id else None,
            since=_moment(request.since_unix_micros) if request.since_unix_micros else None,
            until=_moment(request.until_unix_micros) if request.until_unix_micros else None,
            api_key_id=storable(request.api_key_id, request_log.TEXT_LENGTH_MAX),
            method=storable(request.method, request_log.TEXT_LENGTH_MAX),
            path=storable(request.path, request_log.TEXT_LENGTH_MAX),
            request_id=storable(request.request_id, request_log.TEXT_LENGTH_MAX),
            status_min=min(max(request.status_min, 0), 999),
            status_max=min(max(request.status_max, 0), 999) or 999,
        )
        async with self._db.autocommit() as tx:
            logged = await request_log.page(tx, wanted, limit)
        return pb.ListApiRequestsResponse(requests=[_api_request(each) for each in logged])

    async def Story(self, request: pb.StoryRequest, context: CallContext) -> pb.StoryResponse:
        if not 0 < len(request.reference) <= 128:
            raise RequestInvalid(reference="1 to 128 characters")
        async with self._db.begin() as tx:
            timeline = await self._read_timeline(tx, request.reference)
        return pb.StoryResponse(
            entries=[
                pb.StoryEntry(
                    time_unix_micros=micros(entry.time),
                    kind=entry.kind,
                    summary=entry.summary,
                    fields=entry.fields,
                )
                for entry in sorted(timeline.entries, key=lambda entry: entry.time)
            ],
            references=timeline.references,
        )


@retried
async def _since_checkpoint(db: Database, totals: Totals, recent_totals: Totals, verify: bool) -> Mapping[str, int]:
    async with db.begin() as tx:
        await tx.execute("set transaction isolation level repeatable read")
        return await checkpoints.verified(tx, totals, dict(await recent_totals(tx)), now=verify)


async def waiting(db: Database) -> pb.BacklogResponse:
    """What this service still has to do; all zero when it is quiet. Cheap, however much it has done."""
    async with db.begin() as tx:
        row = (await tx.execute(_WAITING)).one()
    return pb.BacklogResponse(**dict(row))


async def oldest_unmarked(db: Database) -> int | None:
    """When the oldest envelope that is not confirmed was announced, in microseconds since 1970; None without any."""
    async with db.autocommit() as tx:
        oldest = (await tx.execute(_OLDEST)).scalar()
    return None if oldest is None else micros(ids.timestamp(oldest))


async def backlog(db: Database) -> pb.BacklogResponse:
    """As `waiting`, with the sizes of outbox and inbox, which takes as long as they are large."""
    response = await waiting(db)
    async with db.begin() as tx:
        row = (await tx.execute(_TOTAL)).one()
    response.outbox_total, response.inbox_total = row.outbox_total, row.inbox_total
    return response


def _again(row: Row) -> Outgoing:
    """*row* on the way it went first; a redelivery goes home at once, not through its retry tier again."""
    exchange = row.exchange if row.exchange in CONTRACT.exchanges else REQUEUE
    return Outgoing(row.envelope_id, exchange, row.routing_key, row.mandatory, row.type, row.body)


def _dead_letter(row: Row) -> pb.DeadLetter:
    return pb.DeadLetter(
        id=ids.encode(DEAD_LETTER, row.dead_letter_id),
        queue=row.queue,
        type=row.type,
        event=row.event,
        error_code=row.error_code,
        error_class=row.error_class,
        attempts=row.attempts,
        first_failed_unix_micros=micros(row.first_failed_at),
        dead_unix_micros=micros(row.dead_at),
        status=row.status,
        actor=row.actor or "",
        reason=row.reason or "",
    )


def _api_request(logged: LoggedRequest) -> pb.ApiRequest:
    return pb.ApiRequest(
        id=logged.request_log_id.bytes,
        api_key_id=logged.api_key_id,
        method=logged.method,
        path=logged.path,
        status=logged.status,
        duration_micros=logged.duration_micros,
        request_id=logged.request_id,
        error_code=logged.error_code,
        body_hash=logged.body_hash or b"",
    )


def _dead_letter_ids(texts: Sequence[str]) -> list[UUID]:
    require_at_most(LIMIT_MAX, ids=len(texts))
    return [ids.decode(DEAD_LETTER, text) for text in texts]


def _uuids(raw: Sequence[bytes]) -> list[UUID]:
    require_at_most(LIMIT_MAX, ids=len(raw))
    return sorted(_uuid(each) for each in raw)


def _uuid(raw: bytes) -> UUID:
    try:
        return UUID(bytes=raw)
    except ValueError:
        raise ids.IdInvalid("an envelope id is 16 bytes") from None


def _moment(unix_micros: int) -> datetime:
    try:
        return from_micros(unix_micros)
    except TimeOutOfRange:
        raise RequestInvalid(time="not a moment in microseconds since 1970") from None
