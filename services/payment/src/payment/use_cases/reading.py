"""Look payments up: by any of their ids, for whoever may see them; their history; their story for operators."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common import ids
from common.database import Database, Tx
from common.delivery import Story, StoryEntry
from common.ids import InvalidId
from common.tokens import Caller
from payment import store
from payment.domain import ORDER_ID, Payment, PaymentNotFound
from payment.store import Filters

# Who may see other people's payments of their merchant.
STAFF = frozenset({"SUPPORT", "FINANCE", "ADMIN"})


async def find(db: Database, caller: Caller, reference: str) -> Payment:
    """The payment behind a payment, order or reference id. Raises PaymentNotFound for other people's as well."""
    payment = await _resolve(db, caller.merchant_id, reference)
    if payment is None or not may_see(caller, payment.merchant_id, payment.user_id):
        raise PaymentNotFound("there is no such payment")
    return payment


async def find_public(db: Database, reference: str) -> Payment:
    """By payment id only: it cannot be guessed, so having it is the permission."""
    payment_id = _payment_id(reference)
    async with db.begin() as tx:
        found = await store.by_ids(tx, [payment_id]) if payment_id else []
    if not found:
        raise PaymentNotFound("there is no such payment")
    return found[0]


async def history(db: Database, caller: Caller, user_id: str | None, wanted: Filters) -> list[Payment]:
    """A page of the caller's own payments, or for staff of another user's of the same merchant."""
    whose = user_id or caller.user_id
    if not may_see(caller, caller.merchant_id, whose) or "\0" in whose:
        raise PaymentNotFound("there is no such user")
    async with db.begin() as tx:
        return await store.listed(tx, caller.merchant_id, whose, wanted)


async def payments(db: Database, payment_ids: Sequence[UUID]) -> list[Payment]:
    async with db.begin() as tx:
        return await store.by_ids(tx, payment_ids)


def may_see(caller: Caller, merchant_id: str, user_id: str) -> bool:
    return merchant_id == caller.merchant_id and (user_id == caller.user_id or bool(STAFF & caller.roles))


async def _resolve(db: Database, merchant_id: str, reference: str) -> Payment | None:
    payment_id = _payment_id(reference)
    async with db.begin() as tx:
        if payment_id is not None:
            found = await store.by_ids(tx, [payment_id])
            return found[0] if found else None
        if ORDER_ID.fullmatch(reference):
            return await store.by_order(tx, merchant_id, reference)
    return None


def _payment_id(reference: str) -> UUID | None:
    """The id in a payment id, or in a reference id, whose last part it is."""
    text = "pay_" + reference[-ids.LENGTH :] if reference.startswith("PAY_user_") else reference
    try:
        return ids.decode("pay", text)
    except InvalidId:
        return None


async def story(tx: Tx, reference: str) -> Story:
    """What happened to a payment, told by payment, order, reference or invoice id. No personal data."""
    payment = await _any(tx, reference)
    if payment is None:
        return Story()
    entries = [
        StoryEntry(
            row.at,
            "transition",
            f"{row.from_status or 'nothing'} → {row.to_status} ({row.reason})",
            {"seq": str(row.seq), "actor": row.actor},
        )
        for row in await store.history_of(tx, payment.id)
    ]
    entries += [
        StoryEntry(
            row.updated_at,
            "attempt",
            f"attempt {row.gateway_payment_id} is {row.status}",
            {"attemptId": ids.encode("att", row.id), "reason": row.reason},
        )
        for row in await store.attempts_of(tx, payment.id)
    ]
    entries += [
        StoryEntry(
            row.at,
            "gateway_call",
            f"{row.operation}: {row.http_status or row.outcome} in {row.ms:.0f} ms",
            {"status": str(row.http_status), "outcome": row.outcome},
        )
        for row in await store.calls_of(tx, payment.order_id)
    ]
    invoice = await store.invoice_of(tx, payment.id)
    references = [ids.encode("pay", payment.id), payment.order_id, payment.user_id]
    if invoice is not None:
        references.append(ids.encode("inv", invoice.id))
        mail = "asked for" if payment.customer.email else "no address"
        fields = {"number": invoice.invoice_number, "mail": mail}
        entries.append(StoryEntry(invoice.issued_at, "invoice", "invoice issued", fields))
    entries += _about(payment, payment.updated_at)
    return Story(entries, [each for each in references if each != reference])


def _about(payment: Payment, at: datetime) -> list[StoryEntry]:
    what = {"amount": str(payment.amount), "credits": str(payment.credits.paid + payment.credits.bonus)}
    if payment.review != "NONE":
        what |= {"review": payment.review.value, "reviewReason": payment.review_reason}
    return [StoryEntry(at, "payment", f"the payment is {payment.status}", what)]


async def _any(tx: Tx, reference: str) -> Payment | None:
    payment_id = _payment_id(reference)
    if payment_id is not None:
        found = await store.by_ids(tx, [payment_id])
        return found[0] if found else None
    if reference.startswith("inv_"):
        try:
            return await store.by_invoice(tx, ids.decode("inv", reference))
        except InvalidId:
            return None
    matching = await store.by_order_of_anybody(tx, reference) if ORDER_ID.fullmatch(reference) else []
    return matching[0] if len(matching) == 1 else None
