"""What travels by gRPC, and what operators read; no decisions."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from commdesk.ledger.v1 import ledger_pb2 as pb
from common import ids
from common.approvals import Approval
from common.delivery import Timeline, TimelineEntry
from common.events import from_micros, micros
from ledger.domain.adjustments import BatchSummary
from ledger.domain.audit import AuditRecord
from ledger.domain.blocks import Finding
from ledger.domain.chart import CODES, AccountBalance
from ledger.domain.journals import BookedJournal, Journal, PaymentSum
from ledger.use_cases.verification import VerifiedBlocks, VerifiedTail

# What a reference may be; a journal keeps the prefix beside the UUID.
REFERENCES = ("pay", "wtx", "rfd", "dsp", "stl")


def journal_reference(text: str) -> UUID:
    """The UUID that journals keep for *text*. Raises IdInvalid when it is not the id of something they refer to."""
    prefix = text.partition("_")[0]
    return ids.decode(prefix if prefix in REFERENCES else REFERENCES[0], text)


def is_journal_reference(text: str) -> bool:
    return text.partition("_")[0] in REFERENCES


def balances_message(balances: Iterable[AccountBalance]) -> pb.TrialBalanceResponse:
    return pb.TrialBalanceResponse(
        accounts=[
            pb.AccountBalance(account=each.account, asset=each.asset, debit=each.debit, credit=each.credit)
            for each in balances
        ]
    )


def journals_message(journals: Iterable[BookedJournal]) -> pb.ListJournalsResponse:
    return pb.ListJournalsResponse(journals=[_journal_message(journal) for journal in journals])


def _journal_message(journal: BookedJournal) -> pb.Journal:
    return pb.Journal(
        journal_id=ids.encode("jrn", journal.journal_id),
        merchant_id=journal.merchant_id,
        template=journal.template,
        asset=journal.asset,
        cause_id=ids.encode("evt", journal.cause_id),
        reference=ids.encode(journal.reference_prefix, journal.reference),
        time_unix_micros=micros(journal.effective_at),
        actor_id=journal.actor_id,
        entries=[pb.Entry(account=line.account, debit=line.debit, credit=line.credit) for line in journal.entries],
    )


def payment_sums_message(sums: Iterable[PaymentSum]) -> pb.ListPaymentSumsResponse:
    return pb.ListPaymentSumsResponse(
        sums=[
            pb.PaymentSum(
                payment_id=ids.encode("pay", each.payment_id),
                account=each.account,
                asset=each.asset,
                debit=each.debit,
                credit=each.credit,
            )
            for each in sums
        ]
    )


def proposal_message(approval: Approval, now: datetime, drafts: Sequence[Journal] = ()) -> pb.Proposal:
    """A proposal as it is *now*, with the lines of *drafts*."""
    current, detail = approval.at(now), msgspec.convert(approval.detail, BatchSummary)
    return pb.Proposal(
        approval_id=current.text_id,
        merchant_id=current.merchant_id,
        status=current.status,
        proposed_by=current.proposed_by,
        reason=current.reason,
        proposed_unix_micros=micros(current.proposed_at),
        expires_unix_micros=micros(current.expires_at),
        decided_by=current.decided_by or "",
        decision_reason=current.decision_reason or "",
        journals_count=detail.journals,
        debits=detail.debits,
        journals=[
            pb.ProposedJournal(
                asset=each.asset,
                effective_unix_micros=each.event.effective_unix_micros,
                reason=each.reason,
                owner_id=each.event.owner_id,
                entries=[
                    pb.Entry(account=CODES[entry.account], debit=entry.debit, credit=entry.credit)
                    for entry in each.entries
                ],
            )
            for each in drafts
        ],
    )


def audit_message(records: Iterable[AuditRecord]) -> pb.ListAuditResponse:
    return pb.ListAuditResponse(
        entries=[
            pb.AuditEntry(
                audit_id=ids.encode("evt", record.audit_id),
                time_unix_micros=record.time_unix_micros,
                actor_id=record.actor_id,
                action=record.action,
                resource_type=record.resource_type,
                resource_id=record.resource_id,
                before_json=record.before_state or "",
                after_json=record.after_state or "",
                request_id=record.request_id,
                correlation_id=record.correlation_id,
                trace_id=record.trace_id,
                ip=record.ip_address,
                user_agent=record.user_agent,
                service=record.service,
            )
            for record in records
        ]
    )


def timeline(journals: Sequence[BookedJournal], records: Iterable[AuditRecord]) -> Timeline:
    """What the books say, for operators: amounts and ids, no states (they may say more than a ticket should)."""
    entries = [
        TimelineEntry(
            journal.effective_at,
            "journal",
            f"{journal.template}: "
            + ", ".join(
                f"{'Dr' if line.debit else 'Cr'} {line.account} {line.debit or line.credit}" for line in journal.entries
            ),
            {
                "journal_id": ids.encode("jrn", journal.journal_id),
                "asset": journal.asset,
                "actor": journal.actor_id,
            },
        )
        for journal in journals
    ]
    entries += [
        TimelineEntry(
            from_micros(record.time_unix_micros),
            "audit",
            f"{record.actor_id or 'nobody'} {record.action} {record.resource_id}",
            {
                "service": record.service,
                "request_id": record.request_id,
                "correlation_id": record.correlation_id,
                "trace_id": record.trace_id,
            },
        )
        for record in records
    ]
    related = (ids.encode(journal.reference_prefix, journal.reference) for journal in journals)
    return Timeline(entries, tuple(dict.fromkeys(related)))


def verified_blocks(part: VerifiedBlocks) -> pb.VerifyBlocksResponse:
    return pb.VerifyBlocksResponse(
        findings=map(_finding, part.findings),
        next_height=part.next_height,
        height=part.last.height if part.last else 0,
        head=part.last.head.hex() if part.last else "",
        anchored_heights=part.anchored,
        journals=part.journals,
        entries=part.entries,
        audit_entries=part.audit_entries,
    )


def verified_entries(findings: Sequence[Finding], last: UUID | None) -> pb.VerifyEntriesResponse:
    position = ids.encode("jrn", last) if last else ""
    return pb.VerifyEntriesResponse(findings=map(_finding, findings), next_position=position)


def position(text: str) -> UUID:
    """Behind which journal to go on. Raises IdInvalid."""
    return ids.decode("jrn", text) if text else UUID(int=0)


def verified_tail(tail: VerifiedTail, anchor_url: str) -> pb.VerifyTailResponse:
    return pb.VerifyTailResponse(
        findings=map(_finding, tail.findings),
        height=tail.last.height if tail.last else 0,
        head=tail.last.head.hex() if tail.last else "",
        anchor_url=anchor_url,
        anchored_to=tail.anchored_to,
        unsealed_journals=tail.unsealed_journals,
        unsealed_audit_entries=tail.unsealed_audit_entries,
    )


def _finding(finding: Finding) -> pb.VerificationFinding:
    prefix = "evt" if finding.is_audit else "jrn"
    return pb.VerificationFinding(
        kind=finding.kind,
        height=finding.height,
        subject=ids.encode(prefix, finding.subject) if finding.subject else "",
        line=finding.line,
        detail=finding.detail,
    )
