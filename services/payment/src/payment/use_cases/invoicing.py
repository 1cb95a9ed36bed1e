"""Invoices: one for each successful payment, numbered without gaps."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Tx
from common.handling import Refused
from payment import store
from payment.domain import Invoice, PaymentNotFound, number_text, series
from payment.wire import events


class Succeeded(msgspec.Struct, frozen=True):
    """A PaymentSucceeded, as far as an invoice needs it."""

    payment_id: UUID
    merchant_id: str
    transaction_id: str


async def issue_invoices(tx: Tx, successes: Sequence[Succeeded], *, clock: Clock, prefix: str) -> list[Refused]:
    """Invoices for those that have none; the series' rows are locked first, so two batches take turns."""
    now = clock.now()
    name = series(prefix, now)
    last = await store.lock_series(tx, {(success.merchant_id, name) for success in successes})
    wanted = {success.payment_id: success for success in successes}
    done = await store.invoiced(tx, wanted.keys())
    payments = {payment.id: payment for payment in await store.by_ids(tx, sorted(wanted.keys() - done))}
    invoices: list[Invoice] = []
    messages: list[Message] = []
    for payment_id in sorted(payments):
        payment = payments[payment_id]
        number = last[(payment.merchant_id, name)] = last[(payment.merchant_id, name)] + 1
        invoice = Invoice(
            ids.new(),
            payment.id,
            payment.merchant_id,
            payment.user_id,
            name,
            number,
            number_text(name, number),
            payment.amount,
            payment.tax,
            payment.place_of_supply,
            now,
        )
        invoices.append(invoice)
        messages += events.invoiced(payment, invoice, wanted[payment_id].transaction_id)
    if invoices:
        await store.add_invoices(tx, invoices)
        await store.advance_series(tx, last)
        await outbox.append(tx, messages)
    return [
        Refused(success, PaymentNotFound())
        for success in successes
        if success.payment_id not in done and success.payment_id not in payments
    ]
