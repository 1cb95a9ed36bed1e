"""Disputes in JSON and over gRPC: what staff and operators send, what they see."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from commdesk.payment.v1 import disputes_pb2 as pb
from common import ids, pages
from common.errors import RequestInvalid, require_at_most
from common.events import from_micros, micros
from common.http_server import Body
from common.pages import Page, PageQuery
from common.texts import Reason
from common.times import END, FIRST, rfc3339
from common.tokens import Caller
from gateways.disputes import DisputeStatus
from payment.domain.disputes import PREFIX, Announced, DisputeFilter, DisputeRecord, EvidenceRequest
from payment.wire.dispute_events import dispute_message
from payment.wire.review_messages import Actor

PAYMENTS_MAX, DISPUTES_DEFAULT, DISPUTES_MAX = 500, 200, 1_000
_NIL = UUID(int=0)

FileReference = Annotated[
    str,
    Meta(max_length=500, pattern=r"^[!-~]*\Z", description="Where the file lies: a URL or a name in your store."),
]


class DisputesQuery(PageQuery, frozen=True):
    """Disputes, newest first."""

    status: Annotated[DisputeStatus, Meta(description="Only in this status.")] | None = None


class EvidenceBody(Body, frozen=True):
    """What shows that the payment was right; the file itself stays where it is."""

    note: Reason
    file_reference: FileReference = ""


class EvidenceView(msgspec.Struct, frozen=True, rename="camel"):
    note: str
    file_reference: str
    actor: str
    created_at: str


class DisputeView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A dispute; amounts in minor units. *isHeld*: the payment's credits are reserved until it ends."""

    dispute_id: str
    payment_id: str
    gateway_dispute_id: str
    status: str
    amount: int
    currency: str
    reason_code: str
    respond_by: str | None
    is_held: bool
    fee: int
    created_at: str
    updated_at: str
    evidence: list[EvidenceView]


class _OperatorsEvidence(msgspec.Struct, frozen=True):
    """The same rules as of a body."""

    note: Reason
    file_reference: FileReference
    actor: Actor


def filter_of(query: DisputesQuery, caller: Caller) -> DisputeFilter:
    """One more than the page. Raises CursorInvalid."""
    before = pages.decode_cursor(query.cursor, UUID)[0] if query.cursor else None
    return DisputeFilter(caller.merchant_id, query.status.value if query.status else None, before, query.limit + 1)


def evidence_of(body: EvidenceBody, dispute_id: str, caller: Caller) -> EvidenceRequest:
    """Raises IdInvalid."""
    return EvidenceRequest(
        dispute_id=ids.decode(PREFIX, dispute_id),
        merchant_id=caller.merchant_id,
        note=body.note,
        file_reference=body.file_reference,
        actor_id=caller.actor_id,
    )


def disputes_page(records: list[DisputeRecord], limit: int) -> Page[DisputeView]:
    return pages.page(records, limit, view, lambda last: pages.encode_cursor(last.dispute.id))


def view(record: DisputeRecord) -> DisputeView:
    it = record.dispute
    return DisputeView(
        dispute_id=ids.encode(PREFIX, it.id),
        payment_id=ids.encode("pay", it.payment_id),
        gateway_dispute_id=it.gateway_dispute_id,
        status=it.status.value,
        amount=it.amount.minor,
        currency=it.amount.currency,
        reason_code=it.reason_code,
        respond_by=rfc3339(it.respond_by) if it.respond_by else None,
        is_held=it.announced is not Announced.NONE,
        fee=it.fee_minor,
        created_at=rfc3339(it.created_at),
        updated_at=rfc3339(it.updated_at),
        evidence=[
            EvidenceView(each.note, each.file_reference, each.actor_id, rfc3339(each.at)) for each in record.evidence
        ],
    )


# ── gRPC ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def payment_ids(request: pb.ListDisputesRequest) -> list[UUID]:
    """Raises LimitExceeded, IdInvalid."""
    require_at_most(PAYMENTS_MAX, payment_ids=len(request.payment_ids))
    return [ids.decode("pay", payment_id) for payment_id in request.payment_ids]


def window(request: pb.ListDisputesRequest) -> tuple[datetime, datetime, tuple[datetime, UUID], int]:
    """Since, until, behind which one, how many. Raises LimitExceeded, CursorInvalid, TimeOutOfRange."""
    require_at_most(DISPUTES_MAX, limit=request.limit)
    since = from_micros(request.changed_from_unix_micros) if request.changed_from_unix_micros else FIRST
    until = from_micros(request.changed_to_unix_micros) if request.changed_to_unix_micros else END
    after = pages.decode_cursor(request.cursor, datetime, UUID) if request.cursor else (FIRST, _NIL)
    return since, until, after, request.limit or DISPUTES_DEFAULT


def operators_evidence(request: pb.AddDisputeEvidenceRequest) -> EvidenceRequest:
    """Raises RequestInvalid, IdInvalid."""
    fields = {"note": request.note, "file_reference": request.file_reference, "actor": request.actor}
    try:
        read = msgspec.convert(fields, _OperatorsEvidence)
    except msgspec.ValidationError as error:
        raise RequestInvalid(str(error)) from None
    return EvidenceRequest(
        dispute_id=ids.decode(PREFIX, request.dispute_id),
        merchant_id=None,
        note=read.note,
        file_reference=read.file_reference,
        actor_id=read.actor,
    )


def record_message(record: DisputeRecord) -> pb.DisputeRecord:
    return pb.DisputeRecord(
        dispute=dispute_message(record.dispute),
        is_held=record.dispute.announced is not Announced.NONE,
        evidence=[
            pb.DisputeEvidence(
                note=each.note,
                file_reference=each.file_reference,
                actor=each.actor_id,
                created_unix_micros=micros(each.at),
            )
            for each in record.evidence
        ],
    )


def disputes_response(records: Sequence[DisputeRecord], limit: int | None = None) -> pb.ListDisputesResponse:
    """With *limit*, one more was read."""
    shown = records if limit is None else records[:limit]
    last = shown[-1].dispute if limit is not None and len(records) > limit else None
    return pb.ListDisputesResponse(
        disputes=[record_message(record) for record in shown],
        next_cursor=pages.encode_cursor(last.updated_at, last.id) if last else "",
    )
