"""HTTP endpoints of disputes: each decodes, calls one use case, encodes."""

from functools import partial
from typing import Any

from common import ids
from common.authorization import ACT_ERRORS
from common.http_server import Call, Route
from common.ids import IdInvalid
from common.pages import CursorInvalid, Page
from payment.domain.disputes import PREFIX, DisputeNotFound
from payment.use_cases.disputes import CONTEST, Disputes
from payment.wire import disputes as wire
from payment.wire.disputes import DisputesQuery, DisputeView, EvidenceBody

PATH = "/api/v1/disputes"


def routes(disputes: Disputes) -> list[Route[Any]]:
    """SUPPORT reads; FINANCE and ADMIN note evidence."""
    one = f"{PATH}/{{disputeId}}"
    errors = (IdInvalid, DisputeNotFound)
    return [
        Route("GET", PATH, partial(list_disputes, disputes), query=DisputesQuery, answer=Page[DisputeView],
              permission="disputes.read", errors=[CursorInvalid]),
        Route("GET", one, partial(read_dispute, disputes), answer=DisputeView,
              permission="disputes.read", errors=errors),
        Route("POST", f"{one}/evidence", partial(add_dispute_evidence, disputes), body=EvidenceBody,
              answer=DisputeView, permission=CONTEST, errors=[*errors, *ACT_ERRORS]),
    ]  # fmt: skip


async def list_disputes(disputes: Disputes, call: Call[None, DisputesQuery]) -> Page[DisputeView]:
    """The disputes of the merchant's payments, newest first."""
    return wire.disputes_page(await disputes.page(wire.filter_of(call.query, call.caller)), call.query.limit)


async def read_dispute(disputes: Disputes, call: Call) -> DisputeView:
    """A dispute with its deadline and the evidence that was noted."""
    dispute_id = ids.decode(PREFIX, call.path["disputeId"])
    return wire.view(await disputes.find(dispute_id, call.caller.merchant_id))


async def add_dispute_evidence(disputes: Disputes, call: Call[EvidenceBody]) -> DisputeView:
    """Note what shows that the payment was right, and where the file lies; the same again is kept once."""
    request = wire.evidence_of(call.body, call.path["disputeId"], call.caller)
    return wire.view(await disputes.add_evidence_for(call.caller, request))
