"""What happened to a payment, for operators: moves, attempts, gateway calls, invoice, and its money afterwards."""

from collections.abc import Sequence

from common import ids
from common.database import Row, Tx
from common.delivery import Timeline, TimelineEntry
from common.ids import IdInvalid
from payment.domain.payments import Payment, parse_payment_id
from payment.domain.purchases import ORDER_ID
from payment.domain.routing import RouteDecision
from payment.store import disputes, queries, refunds, routing
from payment.store.gateway_calls import calls_of
from payment.store.invoices import invoice_of
from payment.use_cases.money_timelines import money_timeline

# Ids of what belongs to a payment: how the payment is found.
_PARTS = {"rfd": refunds.payments_of, "dsp": disputes.payments_of}


async def timeline(tx: Tx, reference: str) -> Timeline:
    """By payment, order, reference, invoice, refund or dispute id; empty when it is not one of ours."""
    payment = await _any_merchant(tx, reference)
    if payment is None:
        return Timeline()
    entries = _transitions(await queries.transitions_of(tx, payment.id))
    entries += _decisions(payment, await routing.decisions_of(tx, payment.id))
    entries += _attempts(await queries.attempts_of(tx, payment.id))
    entries += _gateway_calls(await calls_of(tx, payment.order_key))
    invoice = await invoice_of(tx, payment.id)
    references = [ids.encode("pay", payment.id), payment.order_id, payment.user_id]
    if invoice is not None:
        references.append(ids.encode("inv", invoice.id))
        fields = {
            "number": invoice.invoice_number,
            "mail": "requested" if payment.customer.email else "no address",
        }
        entries.append(TimelineEntry(invoice.issued_at, "invoice", "invoice issued", fields))
    money = await money_timeline(tx, payment)
    entries += [*money.entries, _present_state(payment)]
    references += money.references
    return Timeline(entries, [each for each in references if each != reference])


def transition_summary(row: Row) -> str:
    """A move in one line, of a row of the history."""
    return f"{row.from_status or 'nothing'} → {row.to_status} ({row.reason})"


def gateway_call_summary(row: Row) -> str:
    """What the gateway answered and how fast, in one line."""
    return f"{row.operation}: {row.http_status or row.outcome} in {row.ms:.0f} ms"


def _transitions(rows: Sequence[Row]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            row.at,
            "transition",
            transition_summary(row),
            {"seq": str(row.seq), "actor": row.actor},
        )
        for row in rows
    ]


def _decisions(payment: Payment, decisions: Sequence[RouteDecision]) -> list[TimelineEntry]:
    """Of a payment that could have gone to several gateway accounts. They have no time of their own."""
    return [
        TimelineEntry(
            payment.created_at,
            "routing",
            f"routed to {each.gateway_account_id} ({each.reason})",
            {"rules": str(each.rules_version), **{account: reason.value for account, reason in each.others.items()}},
        )
        for each in decisions
    ]


def _attempts(rows: Sequence[Row]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            row.updated_at,
            "attempt",
            f"attempt {row.gateway_payment_id} is {row.status}",
            {"attemptId": ids.encode("att", row.id), "reason": row.reason},
        )
        for row in rows
    ]


def _gateway_calls(rows: Sequence[Row]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            row.at,
            "gateway_call",
            gateway_call_summary(row),
            {"status": str(row.http_status), "outcome": row.outcome},
        )
        for row in rows
    ]


def _present_state(payment: Payment) -> TimelineEntry:
    fields = {"amount": str(payment.amount), "credits": str(payment.credits.paid + payment.credits.bonus)}
    if payment.review != "NONE":
        fields |= {"review": payment.review.value, "reviewReason": payment.review_reason}
    return TimelineEntry(payment.updated_at, "payment", f"the payment is {payment.status}", fields)


async def _any_merchant(tx: Tx, reference: str) -> Payment | None:
    payment_id = parse_payment_id(reference)
    if payment_id is not None:
        payments = await queries.payments_by_id(tx, [payment_id])
        if payments:
            return payments[0]
    if reference.startswith("inv_"):
        try:
            return await queries.payment_by_invoice(tx, ids.decode("inv", reference))
        except IdInvalid:
            return None
    for prefix, payments_of in _PARTS.items():
        if reference.startswith(f"{prefix}_"):
            try:
                found = await payments_of(tx, [ids.decode(prefix, reference)])
            except IdInvalid:
                return None
            return next(iter(await queries.payments_by_id(tx, found.values())), None)
    matches = await queries.payments_by_order_any_merchant(tx, reference) if ORDER_ID.fullmatch(reference) else []
    return matches[0] if len(matches) == 1 else None
