"""Rules about one payment: ours against the gateway's rows, and with `book_rules` against wallet and books. Pure.

A rule yields what is wrong now, or the moment from which on it would be: so "missing" is never stored, the clock says
it. To add a rule, write a function and list it in `RULES`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from reconciler.domain.book_rules import judge_books, judge_grant
from reconciler.domain.differences import Kind, Verdict, side, verdict
from reconciler.domain.payment_sides import (
    OPEN_REFUNDS,
    Outcomes,
    about,
    ours,
    payment_rows,
    rows_that_count,
    settled_at,
    theirs,
)
from reconciler.domain.records import PaymentFacts, SettlementRow
from reconciler.domain.terms import Terms


def judge_payment(facts: PaymentFacts, terms: Terms, now: datetime) -> Verdict:
    """What is wrong about one payment at *now*."""
    return verdict([outcome for rule in RULES for outcome in rule(facts, terms, now)])


def _settlement(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """Paid money reaches the bank in time: delayed, then missing."""
    record = facts.record
    own, _ = payment_rows(facts)
    if not record.is_paid or settled_at(facts) is not None or not (own or record.is_confirmed):
        return
    delayed_from, missing_from = terms.settled_by(record.paid_since), terms.missing_from(record.paid_since)
    if now < delayed_from:
        yield delayed_from
        return
    kind = Kind.SETTLEMENT_MISSING if now >= missing_from else Kind.SETTLEMENT_DELAYED
    where = f"it is in settlement {own[0].settlement_id}, which has not reached the bank" if own else "in no settlement"
    yield about(record, kind, record.amount_minor, where, ours(record), *map(theirs, own))
    if now < missing_from:
        yield missing_from


def _confirmation(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """The gateway itself said that it was paid."""
    record = facts.record
    if not record.is_paid or record.is_confirmed or rows_that_count(facts):
        return
    if now < (due := record.paid_since + terms.confirmation_grace):
        yield due
        return
    yield about(
        record,
        Kind.ORPHAN_WITH_US,
        record.amount_minor,
        "it counts as paid, and the gateway has confirmed nothing",
        ours(record),
    )


def _duplicate(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """Each transaction is settled once, and a second capture is a receipt of ours or given back."""
    own, others = payment_rows(facts)
    record = facts.record
    if not record.is_paid:
        return
    repeated = own[1:]
    known = {refund.refund_id for refund in facts.refunds}
    returned = -sum(
        row.amount_minor for row in rows_that_count(facts) if row.kind == "REFUND" and row.refund_id not in known
    )
    # Its refund comes off a later settlement.
    returned += sum(each.amount_minor for each in facts.refunds if each.receipt_id and each.status == "SUCCESS")
    unexplained = max(0, sum(row.amount_minor for row in others) - record.unapplied_minor - max(0, returned))
    if amount := sum(row.amount_minor for row in repeated) + unexplained:
        detail = f"{len(own) + len(others)} rows of settlements for one payment"
        yield about(record, Kind.TRANSACTION_DUPLICATE, amount, detail, ours(record), *map(theirs, own + others))


def _amounts(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """Currency and amount are the payment's; the row adds up; its bank reference is the settlement's."""
    own, _ = payment_rows(facts)
    record = facts.record
    if not own or not record.is_paid:
        return
    row = own[0]
    evidence = (ours(record), theirs(row))
    if row.currency != record.currency:
        yield about(record, Kind.CURRENCY_MISMATCH, record.amount_minor, f"settled in {row.currency}", *evidence)
    elif abs(off := row.amount_minor - record.amount_minor) > terms.amount_tolerance_minor:
        yield about(record, Kind.AMOUNT_MISMATCH, off, f"settled {row.amount_minor}", *evidence)
    elif short := row.amount_minor - row.fee_minor - row.fee_tax_minor - row.net_minor:
        kind = Kind.SETTLEMENT_SHORT if short > 0 else Kind.SETTLEMENT_EXCESS
        yield about(record, kind, short, "the row's net is not its amount less fee and tax", *evidence)
    settlement = facts.settlements.get(row.settlement_id)
    if settlement is not None and row.utr and settlement.utr and row.utr != settlement.utr:
        detail = f"the row says {row.utr}, its settlement {settlement.utr}"
        yield about(record, Kind.UTR_MISMATCH, row.net_minor, detail, *evidence)


def _fees(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """Fee and tax at the contract's rates; GST on the fee may be zero."""
    own, _ = payment_rows(facts)
    record = facts.record
    if not own or own[0].currency != record.currency or not record.is_paid:
        return
    row = own[0]
    # A row of another amount is a difference of its own: its fee may be that of either amount.
    fees = [terms.fee(record.method, amount) for amount in (record.amount_minor, row.amount_minor)]
    fee_due = _nearest(row.fee_minor, [fee for fee in fees if fee is not None])
    if fee_due is not None and abs(off := row.fee_minor - fee_due) > terms.fee_tolerance_minor:
        contract = side("contract", fee=fee_due, method=record.method)
        detail = f"fee {row.fee_minor}, by contract {fee_due}"
        yield about(record, Kind.FEE_MISMATCH, off, detail, contract, theirs(row))
    # And the tax on a wrong fee that of either fee.
    taxes = [terms.fee_tax(fee) for fee in (row.fee_minor, fee_due) if fee is not None and fee >= 0]
    tax_due = _nearest(row.fee_tax_minor, [0, *taxes])
    if tax_due is not None and abs(row.fee_tax_minor - tax_due) > terms.fee_tolerance_minor:
        tax = taxes[0] if taxes else 0
        contract = side("contract", feeTax=tax)
        detail = f"tax {row.fee_tax_minor}, due {tax}"
        yield about(record, Kind.TAX_MISMATCH, row.fee_tax_minor - tax, detail, contract, theirs(row))


def _nearest(value: int, candidates: Sequence[int]) -> int | None:
    return min(candidates, key=lambda each: abs(each - value), default=None)


def _status_known(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """A payment that the gateway settled counts as paid, or its money waits for a decision."""
    record = facts.record
    if record.is_paid:
        return
    rows = [row for row in rows_that_count(facts) if row.kind in ("PAYMENT", "REFUND")]
    if (amount := sum(row.amount_minor for row in rows) - record.unapplied_minor) > 0:
        detail = f"settled by the gateway, {record.status} with us"
        yield about(record, Kind.STATUS_MISMATCH, amount, detail, ours(record), *map(theirs, rows))


def _webhook(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """A webhook announced every paid payment."""
    record = facts.record
    if not record.is_paid or record.webhook_at is not None:
        return
    if now < (due := record.paid_since + terms.webhook_grace):
        yield due
        return
    detail = "paid, and no webhook about its order was ever received"
    yield about(record, Kind.WEBHOOK_MISSING, record.amount_minor, detail, ours(record), side("webhooks", received=0))


def _refunds(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
    """Each refund has the same amount on both sides, and what payment has refunded is the sum of them."""
    record = facts.record
    settled: dict[str, list[SettlementRow]] = {}
    for row in rows_that_count(facts):
        if row.kind == "REFUND":
            settled.setdefault(row.refund_id, []).append(row)
    of_receipts = 0
    for refund in facts.refunds:
        rows = settled.pop(refund.refund_id, [])
        taken = -sum(row.amount_minor for row in rows)
        of_receipts += taken if refund.receipt_id else 0
        due = refund.amount_minor if refund.status == "SUCCESS" else 0
        waits = refund.status in OPEN_REFUNDS or (due and not rows) or (taken and refund.status == "REVERSED")
        if taken == due or (refund.status in OPEN_REFUNDS and taken == refund.amount_minor):
            continue
        if waits and now < (until := terms.refund_settled_by(refund.created_at)):
            yield until
            continue
        detail = f"refund {refund.refund_id} is {refund.status} with {refund.amount_minor}; the gateway took {taken}"
        stated = side("payment", refundId=refund.refund_id, status=refund.status, amount=refund.amount_minor)
        yield about(
            record, Kind.REFUND_INCONSISTENT, taken - due, detail, stated, *map(theirs, rows), of=refund.refund_id
        )
    # What is left over gives back second captures and money without a success; more than those is nobody's refund.
    _, others = payment_rows(facts)
    receipts = sum(row.amount_minor for row in others) if record.is_paid else record.amount_minor
    unknown = [row for rows in settled.values() for row in rows]
    extra = -sum(row.amount_minor for row in unknown) - max(0, receipts - of_receipts)
    if unknown and extra > 0:
        detail = f"the gateway took {extra} for refunds that are none of ours"
        yield about(record, Kind.REFUND_INCONSISTENT, extra, detail, ours(record), *map(theirs, unknown))
    yield from _refund_sum(facts)


def _refund_sum(facts: PaymentFacts) -> Outcomes:
    refunds = [each for each in facts.refunds if not each.receipt_id]
    least = sum(each.amount_minor for each in refunds if each.status == "SUCCESS")
    most = least + sum(each.amount_minor for each in refunds if each.status in OPEN_REFUNDS)
    stated = facts.record.refunded_minor
    if not least <= stated <= most:
        detail = f"the payment says {stated} is refunded, its refunds {least}"
        off = stated - (least if stated < least else most)
        evidence = (ours(facts.record), side("refunds", succeeded=least, withOpen=most))
        yield about(facts.record, Kind.REFUND_INCONSISTENT, off, detail, *evidence)


RULES: tuple[Callable[[PaymentFacts, Terms, datetime], Outcomes], ...] = (
    _settlement,
    _confirmation,
    _duplicate,
    _amounts,
    _fees,
    _status_known,
    _webhook,
    _refunds,
    judge_grant,
    judge_books,
)
