"""What happened to a payment's money beside its success: receipts, refunds, disputes, settlements. No personal data."""

from typing import Final

from common import ids
from common.database import Tx
from common.delivery import Timeline, TimelineEntry
from common.events import EPOCH
from common.money import Money
from payment.domain import disputes as dispute_rules
from payment.domain.disputes import Dispute
from payment.domain.payments import Payment
from payment.domain.receipts import Receipt
from payment.domain.refunds import Refund
from payment.domain.settlements import StoredRow
from payment.store import disputes, receipts, refunds, settlement_queries, settlements
from payment.store.credit_notes import credit_notes_of

# A payment has one row, and one for each refund and dispute; more are shown by the settlement itself.
SETTLEMENT_ROWS_MAX: Final = 200


async def money_timeline(tx: Tx, payment: Payment) -> Timeline:
    """The entries about the payment's money, and the ids that lead on."""
    of_receipts = [_receipt(each) for each in (await receipts.receipts_of(tx, [payment.id])).get(payment.id, ())]
    entries = [entry for each in of_receipts for entry in each]
    references: list[str] = []
    for timeline in (await _refunds(tx, payment), await _disputes(tx, payment), await _settlements(tx, payment)):
        entries += timeline.entries
        references += timeline.references
    return Timeline(entries, references)


def _receipt(receipt: Receipt) -> list[TimelineEntry]:
    fields = {"receiptId": ids.encode("rcp", receipt.id), "gatewayPaymentId": receipt.gateway_payment_id}
    left = Money(receipt.open_minor, receipt.amount.currency)
    state = "is refunded" if receipt.is_refunding else "waits for a decision"
    if receipt.refund_due_at is not None:
        state = f"goes back by the policy at {receipt.refund_due_at.isoformat(timespec='seconds')}"
    rest = f"{left} of it {state}" if receipt.is_open else "nothing of it is left"
    summary = f"receipt over {receipt.amount} ({receipt.reason}); {rest}"
    return [TimelineEntry(receipt.received_at, "receipt", summary, fields)]


async def _refunds(tx: Tx, payment: Payment) -> Timeline:
    of_payment = {each.id: each for each in (await refunds.refunds_of(tx, [payment.id])).get(payment.id, ())}
    if not of_payment:
        return Timeline()
    notes = await credit_notes_of(tx, of_payment.keys())
    entries = [
        TimelineEntry(
            row.at,
            "refund",
            _move(of_payment[row.refund_id], row.from_status, row.to_status, row.reason),
            {"refundId": of_payment[row.refund_id].text_id, "actor": row.actor},
        )
        for row in await refunds.transitions_of(tx, payment.id)
    ]
    entries += [
        TimelineEntry(
            note.issued_at,
            "credit_note",
            f"credit note {note.credit_note_number} issued",
            {"creditNoteId": ids.encode("crn", note.id), "refundId": of_payment[refund_id].text_id},
        )
        for refund_id, note in notes.items()
    ]
    holds = [each.hold_id for each in of_payment.values() if each.hold_id]
    return Timeline(entries, [*(each.text_id for each in of_payment.values()), *holds])


def _move(refund: Refund, before: str | None, after: str, reason: str) -> str:
    what = "refund of a receipt" if refund.receipt_id else "refund"
    return f"{what} over {refund.amount} by {refund.source.lower()}: {before or 'nothing'} → {after} ({reason})"


async def _disputes(tx: Tx, payment: Payment) -> Timeline:
    of_payment = {each.id: each for each in (await disputes.of_payments(tx, [payment.id])).get(payment.id, ())}
    if not of_payment:
        return Timeline()
    entries = [
        TimelineEntry(
            row.at,
            "dispute",
            f"dispute over {of_payment[row.dispute_id].amount}: {row.from_status or 'nothing'} → {row.to_status}",
            _dispute_fields(of_payment[row.dispute_id]),
        )
        for row in await disputes.transitions_of(tx, of_payment.keys())
    ]
    holds = [each.hold_id for each in of_payment.values() if each.hold_id]
    return Timeline(entries, [*(ids.encode(dispute_rules.PREFIX, key) for key in of_payment), *holds])


def _dispute_fields(dispute: Dispute) -> dict[str, str]:
    fields = {"disputeId": ids.encode(dispute_rules.PREFIX, dispute.id), "reasonCode": dispute.reason_code}
    if dispute.respond_by is not None:
        fields["respondBy"] = dispute.respond_by.isoformat(timespec="seconds")
    return fields


async def _settlements(tx: Tx, payment: Payment) -> Timeline:
    rows = await settlement_queries.rows_of_payments(tx, [payment.id], ids.lower_bound(EPOCH), SETTLEMENT_ROWS_MAX)
    if not rows:
        return Timeline()
    by_id = {each.id: each for each in await settlements.by_ids(tx, {row.settlement_id for row in rows})}
    entries = []
    for each in rows:
        settlement = by_id[each.settlement_id]
        at = settlement.settled_at or each.row.at or payment.updated_at
        summary = f"{each.row.kind.lower()} of {each.row.amount} in a settlement that is {settlement.status}"
        entries.append(TimelineEntry(at, "settlement", summary, _row_fields(each, settlement.utr)))
    return Timeline(entries, [])


def _row_fields(stored: StoredRow, utr: str) -> dict[str, str]:
    row = stored.row
    return {
        "settlementId": ids.encode("stl", stored.settlement_id),
        "utr": utr,
        "fee": str(row.fee),
        "feeTax": str(row.fee_tax),
        "net": str(row.net),
    }
