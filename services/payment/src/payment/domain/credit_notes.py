"""Credit notes: one for each refund that succeeded, numbered as invoices are, in series of their own (Rule 53)."""

from datetime import datetime
from uuid import UUID

import msgspec

from payment.domain.invoices import document_number
from payment.domain.payments import Payment
from payment.domain.refunds import Refund


class CreditNote(msgspec.Struct, frozen=True):
    """It credits the refund's parts of the payment's invoice, at the invoice's own rate and place of supply."""

    id: UUID
    refund: Refund
    user_id: str
    place_of_supply: str
    series: str
    number: int
    # At most 16 characters: CN2627/000001.
    text: str
    issued_at: datetime


def credit_note(payment: Payment, refund: Refund, series: str, number: int, note_id: UUID, at: datetime) -> CreditNote:
    """Raises SeriesExhausted."""
    text = document_number(series, number)
    return CreditNote(note_id, refund, payment.user_id, payment.place_of_supply, series, number, text, at)
