"""Payments in bulk: a batch is stored with an intent for each item; workers make them within the gateway's quota."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from common import events, idempotency, ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import (
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    KeyReused,
    NotFound,
    PermissionDenied,
)
from common.idempotency import Answered, Claim, Completion, Key
from common.intents import Intent, Intents
from common.runtime import Workers
from common.tokens import Caller
from payment.domain.batches import PREFIX, Batch, BatchNotFound, ItemRequest, ItemStatus
from payment.domain.errors import OrderIdTaken
from payment.domain.merchant_orders import OrderAlreadyPaid, OrderPaymentOpen
from payment.store import batches
from payment.use_cases.create_payment import CreatePayment
from payment.use_cases.payments import may_see
from payment.wire.events import SERVICE

ROUTE: Final = "payments.bulk"
# Beside customers who wait: a batch takes a few turns at the gateway at a time.
CONCURRENCY: Final = 4
# What a later try would not change. The other kinds are tried again.
FINAL: Final = (
    InvalidArgument,
    NotFound,
    FailedPrecondition,
    KeyReused,
    PermissionDenied,
    OrderIdTaken,
    OrderAlreadyPaid,
    OrderPaymentOpen,
)

_encode = msgspec.json.Encoder().encode
_item_request = msgspec.json.Decoder(ItemRequest).decode


class BatchAnswer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    replayed: bool = False


class NewBatch(msgspec.Struct, frozen=True):
    """A batch to store; *requests* by item, without those that are refused already."""

    batch: Batch
    requests: Mapping[UUID, ItemRequest]
    actor_id: str
    key: Key | None
    fingerprint: bytes


# Item, outcome, payment, code of the refusal.
ItemOutcome = tuple[ItemStatus, str, str]


class PaymentBatches:
    def __init__(self, db: Database, clock: Clock, create: CreatePayment) -> None:
        self.db = db
        self.clock = clock
        self._create = create
        self.intents: Intents[ItemOutcome] = Intents(
            db, "bulk_payment", self._execute, self._record_outcomes, concurrency=CONCURRENCY
        )

    @property
    def workers(self) -> Workers:
        return Workers(intents=(self.intents,))

    async def start(self, request: NewBatch, encode: Callable[[Batch], bytes]) -> BatchAnswer:
        """Store the batch; it is worked from now on. Raises what its key is refused with."""
        return await start_batch(self.db, self.intents, request, encode)

    async def find(self, caller: Caller, batch_id: UUID) -> Batch:
        """Raises BatchNotFound, for other people's as well."""
        async with self.db.begin() as tx:
            batch = await batches.batch_by_id(tx, batch_id)
        if batch is None or not may_see(caller, batch.merchant_id, batch.user_id):
            raise BatchNotFound("there is no such batch")
        return batch

    async def _execute(self, intent: Intent) -> ItemOutcome:
        """Create the payment under the item's key: what an attempt whose answer was lost has made is answered again.

        Raises while the outcome is not known.
        """
        request = _item_request(intent.payload)
        try:
            response = await self._create.create(request.purchase, request.fingerprint)
        except FINAL as refusal:
            return ItemStatus.REFUSED, "", refusal.code
        document: dict[str, Any] = msgspec.json.decode(response.body)
        if response.status != 201:
            return ItemStatus.REFUSED, "", document["error"]["code"]
        return ItemStatus.CREATED, document["data"]["paymentId"], ""

    async def _record_outcomes(self, tx: Tx, outcomes: Sequence[tuple[Intent, ItemOutcome]]) -> None:
        items = [(intent.id, *outcome) for intent, outcome in outcomes]
        await batches.save_items(tx, items, self.clock.now())


@retried
async def start_batch(
    db: Database, intents: Intents[ItemOutcome], request: NewBatch, encode: Callable[[Batch], bytes]
) -> BatchAnswer:
    """See PaymentBatches.start."""
    batch, key = request.batch, request.key
    body = encode(batch)
    async with db.begin() as tx:
        if key is not None:
            [verdict] = await idempotency.claim(tx, [Claim(key, request.fingerprint, batch.id)])
            if isinstance(verdict, Answered):
                return BatchAnswer(verdict.status, verdict.response, replayed=True)
            if isinstance(verdict, DomainError):
                raise verdict
        await batches.insert(tx, batch)
        payloads = {item_id: _encode(each) for item_id, each in request.requests.items()}
        await intents.record(tx, payloads)
        if key is not None:
            await idempotency.complete(tx, [Completion(key, batch.id, 202, body)])
        audit = events.audit(
            "payment.bulk_create",
            ("batch", ids.encode(PREFIX, batch.id)),
            service=SERVICE,
            at=batch.created_at,
            merchant_id=batch.merchant_id,
            actor_id=request.actor_id,
            after={"items": len(batch.items)},
        )
        await outbox.append(tx, [audit])
    return BatchAnswer(202, body)
