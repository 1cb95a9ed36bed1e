"""The gRPC service that every service mounts for `commdesk keys` and `commdesk person`."""

from collections.abc import Mapping
from typing import Final

import msgspec
from loguru import logger
from redis.asyncio import Redis

from commdesk.common.v1 import personal_data_pb2 as pb
from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.common.v1.personal_data_pb2_grpc import PersonalDataServiceServicer
from common import outbox, personal_data, table_passes
from common.database import Database
from common.errors import InvalidArgument, RequestInvalid
from common.events import audit
from common.grpc_server import CallContext
from common.personal_data import Person, PersonalData
from common.redis import best_effort

# Actions of an operator belong to the platform's own merchant.
_PLATFORM: Final = "mer_commdesk"
_ACTOR_LENGTH_MAX: Final = 200


class ErasureUnexplained(InvalidArgument):
    """Nobody erases a person without a name and a reason."""

    fix = "Say who you are and why: both stay in the audit log."


class PersonalDataServicer(PersonalDataServiceServicer):
    """See protos/commdesk/common/v1/personal_data.proto."""

    def __init__(self, db: Database, redis: Redis, data: PersonalData) -> None:
        self._db = db
        self._redis = redis
        self._data = data

    async def Reseal(self, request: pb.ResealRequest, context: CallContext) -> pb.ResealResponse:
        if request.restart:
            await table_passes.restart_resealing(self._db, self._data)
        progress = await table_passes.reseal_next(self._db, self._data)
        tables = [
            pb.ResealedTable(
                name=each.table,
                rows_seen=each.rows_seen,
                rows_changed=each.rows_changed,
                completed=each.completed,
            )
            for each in progress
        ]
        return pb.ResealResponse(key_id=self._db.sealer.key_id, tables=tables)

    async def ListKeyUses(self, request: pb.ListKeyUsesRequest, context: CallContext) -> pb.ListKeyUsesResponse:
        uses = await table_passes.key_uses(self._db, self._data)
        return pb.ListKeyUsesResponse(
            key_ids=self._db.sealer.key_ids,
            uses=[pb.KeyUse(table=use.table, column=use.column, key_id=use.key_id, count=use.count) for use in uses],
        )

    async def ResolvePerson(self, request: pb.ResolvePersonRequest, context: CallContext) -> pb.ResolvePersonResponse:
        async with self._db.begin() as tx:
            person = await self._data.resolve(tx, _person(request.person))
        return pb.ResolvePersonResponse(
            person=pb.Person(user_id=person.user_id, email=person.email, orders=person.orders)
        )

    async def ExportPerson(self, request: pb.ExportPersonRequest, context: CallContext) -> pb.ExportPersonResponse:
        async with self._db.begin() as tx:
            records = await personal_data.export(tx, self._data, _person(request.person))
        return pb.ExportPersonResponse(records_json=msgspec.json.encode(records, enc_hook=str))

    async def ErasePerson(self, request: pb.ErasePersonRequest, context: CallContext) -> pb.ErasePersonResponse:
        if not request.actor.strip() or not request.reason.strip():
            raise ErasureUnexplained("an erasure needs an actor and a reason")
        person = _person(request.person)
        async with self._db.begin() as tx:
            if self._data.before_erasing is not None:
                await self._data.before_erasing(tx, person, request.actor[:_ACTOR_LENGTH_MAX])
            counts = await personal_data.erase(tx, self._data, person)
            if any(counts.values()):
                await outbox.append(tx, [self._audit(person, request, counts)])
        if keys := personal_data.redis_keys(self._data, person):
            await best_effort(self._redis.delete(*keys), None)
        logger.bind(rows=counts).info("a person was erased")
        return pb.ErasePersonResponse(rows=counts)

    def _audit(self, person: Person, request: pb.ErasePersonRequest, counts: Mapping[str, int]) -> AuditRecorded:
        return audit(
            "person.erased",
            ("user", person.user_id or "unknown"),
            service=self._db.service,
            at=self._db.clock.now(),
            merchant_id=_PLATFORM,
            actor_id=request.actor[:_ACTOR_LENGTH_MAX],
            after={"rows": dict(counts), "reason": request.reason[:1000]},
        )


def _person(message: pb.Person) -> Person:
    """Raises RequestInvalid when it names nobody."""
    if not (message.user_id or message.email or message.orders):
        raise RequestInvalid("nobody is named", person="needs a user id, an e-mail address or orders")
    return Person(message.user_id, message.email, tuple(message.orders))
