"""Batches of payments in JSON: up to 500 requests as POST /payments takes them, and what became of each."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from common import idempotency, ids
from common.clock import Clock
from common.context import Context
from common.errors import RequestInvalid
from common.http_server import Body
from common.idempotency import Key
from common.seals import Sealer
from common.times import rfc3339
from common.tokens import Caller
from payment.domain.batches import ITEMS_MAX, PREFIX, Batch, BatchItem, ItemRequest, ItemStatus
from payment.use_cases.payment_batches import ROUTE, NewBatch
from payment.wire import requests
from payment.wire.requests import CreateBody, CustomerRules, payer_id

# Five hundred requests, each with what its metadata may hold.
BODY_BYTES_MAX = 2**20


class BulkBody(Body, frozen=True):
    """POST /payments/bulk. Each payment is a request of its own: what is wrong with one refuses that one."""

    payments: Annotated[list[CreateBody], Meta(min_length=1, max_length=ITEMS_MAX)]


class BatchItemView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """*position* in the request, from 0; *error* is a code of the catalogue."""

    position: int
    status: str
    payment_id: str = ""
    error: str = ""


class BatchView(msgspec.Struct, frozen=True, rename="camel"):
    """*status*: processing while an item is pending, then completed."""

    batch_id: str
    status: str
    total: int
    pending: int
    created: int
    refused: int
    items: list[BatchItemView]
    created_at: str


def parse_bulk(
    body: BulkBody, caller: Caller, now: Context, sealer: Sealer, *, key: str, rules: CustomerRules, clock: Clock
) -> NewBatch:
    """Each item under a key of its own: the caller's, or one made of the batch and the item's position."""
    batch_id = ids.new()
    items: list[BatchItem] = []
    asked: dict[UUID, ItemRequest] = {}
    for position, each in enumerate(body.payments):
        item_id = ids.new()
        own_key = f"{ids.encode(PREFIX, batch_id)}:{position}"
        try:
            item_key = idempotency.validated(own_key if each.idempotency_key is None else each.idempotency_key)
            parsed = requests.parse_create(each, caller, now, sealer, key=item_key, device_id="", rules=rules)
        except (RequestInvalid, idempotency.IdempotencyKeyInvalid) as error:
            items.append(BatchItem(item_id, position, ItemStatus.REFUSED, error_code=error.code))
            continue
        items.append(BatchItem(item_id, position))
        asked[item_id] = ItemRequest(parsed.purchase, parsed.fingerprint)
    user_id = payer_id(caller)
    batch = Batch(id=batch_id, merchant_id=caller.merchant_id, user_id=user_id, items=items, created_at=clock.now())
    scope = Key(caller.merchant_id, user_id, ROUTE, key) if key else None
    fingerprint = idempotency.fingerprint(caller.merchant_id, user_id, body)
    return NewBatch(batch, asked, caller.actor_id, scope, fingerprint)


def started_body(batch: Batch) -> bytes:
    """The whole body of the answer to POST /payments/bulk, as it is stored under its key."""
    return msgspec.json.encode({"success": True, "data": view(batch)})


def view(batch: Batch) -> BatchView:
    pending = batch.count(ItemStatus.PENDING)
    return BatchView(
        ids.encode(PREFIX, batch.id),
        "processing" if pending else "completed",
        len(batch.items),
        pending,
        batch.count(ItemStatus.CREATED),
        batch.count(ItemStatus.REFUSED),
        [BatchItemView(item.position, item.status.lower(), item.payment_id, item.error_code) for item in batch.items],
        rfc3339(batch.created_at),
    )
