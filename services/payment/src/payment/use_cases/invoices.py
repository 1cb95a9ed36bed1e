"""Invoices: one for each successful payment, numbered without gaps."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from payment.domain.errors import PaymentNotKnownYet, SeriesExhausted
from payment.domain.invoices import Invoice, document_number, series
from payment.domain.payments import Payment
from payment.store import queries
from payment.store.invoices import add_invoices, advance_series, invoiced, lock_series
from payment.wire import events


class InvoiceRequest(msgspec.Struct, frozen=True):
    """A PaymentSucceeded, as far as an invoice needs it."""

    payment_id: UUID
    merchant_id: str
    transaction_id: str


async def issue_invoices(
    tx: Tx, requests: Sequence[InvoiceRequest], *, clock: Clock, prefix: str
) -> list[DomainError | None]:
    """Invoices for those that have none; the series' rows are locked first, so two batches take turns.

    A series that has no number left refuses its own payments and no others.
    """
    now = clock.now()
    name = series(prefix, now)
    last_numbers = await lock_series(tx, {(request.merchant_id, name) for request in requests})
    by_payment = {request.payment_id: request for request in requests}
    invoiced_ids = await invoiced(tx, by_payment.keys())
    payments = {
        payment.id: payment for payment in await queries.payments_by_id(tx, sorted(by_payment.keys() - invoiced_ids))
    }
    invoices: list[Invoice] = []
    messages: list[Message] = []
    refused: dict[UUID, DomainError] = {}
    for payment_id in sorted(payments):
        payment = payments[payment_id]
        number = last_numbers[(payment.merchant_id, name)] + 1
        try:
            invoice = _invoice(payment, name, number, now)
        except SeriesExhausted as error:
            refused[payment_id] = error
            continue
        last_numbers[(payment.merchant_id, name)] = number
        invoices.append(invoice)
        messages += _messages(payment, invoice, by_payment[payment_id].transaction_id)
    if invoices:
        await add_invoices(tx, invoices)
        await advance_series(tx, last_numbers)
        await outbox.append(tx, messages)
    stored = invoiced_ids | payments.keys()
    missing = PaymentNotKnownYet("there is no payment with this id (yet)")
    return [refused.get(request.payment_id) if request.payment_id in stored else missing for request in requests]


def _invoice(payment: Payment, series_name: str, number: int, now: datetime) -> Invoice:
    """Raises SeriesExhausted."""
    return Invoice(
        id=ids.new(),
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        user_id=payment.user_id,
        series=series_name,
        number=number,
        text=document_number(series_name, number),
        amount=payment.amount,
        tax=payment.tax,
        place_of_supply=payment.place_of_supply,
        issued_at=now,
    )


def _messages(payment: Payment, invoice: Invoice, transaction_id: str) -> list[Message]:
    """The audit line, and the success mail when the payment has an address for it."""
    at, has_address = invoice.issued_at, bool(payment.customer.email)
    messages: list[Message] = [
        events.audit(payment, "invoice.issue", payment.status, at, invoice=invoice.text, mailed=has_address)
    ]
    if has_address:
        messages.append(events.mail_succeeded(payment, invoice, transaction_id, at))
    return messages
