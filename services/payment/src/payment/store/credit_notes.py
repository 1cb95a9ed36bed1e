"""Credit notes; their series are numbered in the table of the invoices' series."""

from collections.abc import Collection, Sequence
from uuid import UUID

from common.database import Row, Tx
from payment.domain.credit_notes import CreditNote

_ADD = """
insert into credit_notes (id, refund_id, payment_id, merchant_id, user_id, series, number, credit_note_number,
    amount_minor, currency, net_minor, cgst_minor, sgst_minor, igst_minor, place_of_supply, issued_at)
select * from unnest(cast(:ids as uuid[]), cast(:refund_ids as uuid[]), cast(:payment_ids as uuid[]),
    cast(:merchants as text[]), cast(:users as text[]), cast(:series as text[]), cast(:numbers as bigint[]),
    cast(:texts as text[]), cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:nets as bigint[]),
    cast(:cgsts as bigint[]), cast(:sgsts as bigint[]), cast(:igsts as bigint[]), cast(:supplies as text[]),
    cast(:ats as timestamptz[]))
"""
_OF_REFUNDS = """
select refund_id, id, credit_note_number, issued_at from credit_notes where refund_id = any(cast(:ids as uuid[]))
"""


async def add_credit_notes(tx: Tx, notes: Sequence[CreditNote]) -> None:
    if notes:
        await tx.write(
            "credit_notes",
            _ADD,
            ids=[note.id for note in notes],
            refund_ids=[note.refund.id for note in notes],
            payment_ids=[note.refund.payment_id for note in notes],
            merchants=[note.refund.merchant_id for note in notes],
            users=[note.user_id for note in notes],
            series=[note.series for note in notes],
            numbers=[note.number for note in notes],
            texts=[note.text for note in notes],
            amounts=[note.refund.amount.minor for note in notes],
            currencies=[note.refund.amount.currency for note in notes],
            nets=[note.refund.tax.net.minor for note in notes],
            cgsts=[note.refund.tax.cgst.minor for note in notes],
            sgsts=[note.refund.tax.sgst.minor for note in notes],
            igsts=[note.refund.tax.igst.minor for note in notes],
            supplies=[note.place_of_supply for note in notes],
            ats=[note.issued_at for note in notes],
        )


async def credit_notes_of(tx: Tx, refund_ids: Collection[UUID]) -> dict[UUID, Row]:
    """Id, number and date of each refund's note, for those that have one."""
    rows = await tx.execute(_OF_REFUNDS, ids=sorted(refund_ids)) if refund_ids else ()
    return {row.refund_id: row for row in rows}
