"""Read disputes, and note evidence for the bank: for a merchant's staff, and for operators across merchants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from common import ids, outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, Tx, retried
from common.tokens import Caller
from payment.domain.disputes import (
    Dispute,
    DisputeFilter,
    DisputeNotFound,
    DisputeRecord,
    Evidence,
    EvidenceRequest,
)
from payment.store import disputes
from payment.wire import dispute_events

# Who may note evidence: by the token, and confirmed by identity (Authorize).
CONTEST: Final = "disputes.contest"


class Disputes(msgspec.Struct, frozen=True):
    db: Database
    clock: Clock
    authorizer: Authorizer

    async def page(self, filter: DisputeFilter) -> list[DisputeRecord]:
        async with self.db.begin() as tx:
            return await _records(tx, await disputes.page(tx, filter))

    async def find(self, dispute_id: UUID, merchant_id: str) -> DisputeRecord:
        """Raises DisputeNotFound, for other merchants' as well."""
        async with self.db.begin() as tx:
            return (await _records(tx, [await _of_merchant(tx, dispute_id, merchant_id)]))[0]

    async def changed(
        self, since: datetime, until: datetime, after: tuple[datetime, UUID], limit: int
    ) -> list[DisputeRecord]:
        async with self.db.begin() as tx:
            return await _records(tx, await disputes.changed(tx, since, until, after, limit))

    async def of_payments(self, payment_ids: Sequence[UUID]) -> list[DisputeRecord]:
        async with self.db.begin() as tx:
            own = await disputes.of_payments(tx, payment_ids)
            return await _records(tx, [dispute for each in own.values() for dispute in each])

    async def add_evidence_for(self, caller: Caller, request: EvidenceRequest) -> DisputeRecord:
        """As `add_evidence`, for a person. Raises RightsOutdated, or CalleeUnavailable without identity's answer."""
        await self.authorizer.require(caller, CONTEST)
        return await self.add_evidence(request)

    async def add_evidence(self, request: EvidenceRequest) -> DisputeRecord:
        """The dispute with the note; the same note about the same file is kept once. Raises DisputeNotFound."""
        return await add_evidence(self.db, request, self.clock.now())


@retried
async def add_evidence(db: Database, request: EvidenceRequest, now: datetime) -> DisputeRecord:
    """See Disputes.add_evidence."""
    async with db.begin() as tx:
        dispute = await _of_merchant(tx, request.dispute_id, request.merchant_id)
        evidence = Evidence(
            id=ids.new(),
            dispute_id=dispute.id,
            note=request.note,
            file_reference=request.file_reference,
            actor_id=request.actor_id,
            at=now,
        )
        [before] = await _records(tx, [dispute])
        if await disputes.add_evidence(tx, evidence):
            number = len(before.evidence)
            await outbox.append(tx, [dispute_events.audit_evidence(dispute, evidence, number, now)])
        return (await _records(tx, [dispute]))[0]


async def _of_merchant(tx: Tx, dispute_id: UUID, merchant_id: str | None) -> Dispute:
    dispute = await disputes.find(tx, dispute_id)
    if dispute is None or merchant_id not in (None, dispute.merchant_id):
        raise DisputeNotFound("there is no such dispute")
    return dispute


async def _records(tx: Tx, found: Sequence[Dispute]) -> list[DisputeRecord]:
    evidence = await disputes.evidence_of(tx, [dispute.id for dispute in found])
    return [DisputeRecord(dispute, tuple(evidence.get(dispute.id, ()))) for dispute in found]
