"""Rules about one payment against the wallet's grants and the books. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.differences import Kind, side
from reconciler.domain.payment_sides import OPEN_REFUNDS, Outcomes, about, ours
from reconciler.domain.records import PaymentFacts, PaymentRecord
from reconciler.domain.runs import Finding
from reconciler.domain.terms import Terms

REFUND_OPEN: Final = timedelta(days=1)


def _in_transit(facts: PaymentFacts, terms: Terms, now: datetime) -> datetime | None:
    """While the payment or a refund of it is moving, wallet and books follow it: until when they may."""
    settled_from = facts.record.changed_at + terms.transit
    # A refund that stays open for longer hides nothing.
    if any(each.status in OPEN_REFUNDS and now < each.created_at + REFUND_OPEN for each in facts.refunds):
        return max(settled_from, now + terms.transit)
    return settled_from if now < settled_from else None


def _when_still(
    rule: Callable[[PaymentFacts], Sequence[Finding]],
) -> Callable[[PaymentFacts, Terms, datetime], Outcomes]:
    """A rule that counts only once nothing moves any more."""

    def judged(facts: PaymentFacts, terms: Terms, now: datetime) -> Outcomes:
        findings = rule(facts)
        if findings and (until := _in_transit(facts, terms, now)):
            yield until
        else:
            yield from findings

    return judged


def _grant(facts: PaymentFacts) -> list[Finding]:
    """Each paid payment is granted once, what it bought."""
    record, grant = facts.record, facts.grant
    evidence = (
        ours(record),
        side("payment", credits=record.credits),
        side("wallet", credits=grant.credits if grant else 0, grants=grant.grants if grant else 0),
    )
    granted = grant.credits if grant is not None else 0
    if not record.is_paid:
        if not granted:
            return []
        detail = f"{granted} credits were granted, and the payment is {record.status}"
        return [about(record, Kind.GRANT_MISMATCH, record.amount_minor, detail, *evidence)]
    if record.credits and (grant is None or not grant.grants):
        detail = f"{record.credits} credits were bought, none were granted"
        return [about(record, Kind.GRANT_MISSING, record.amount_minor, detail, *evidence)]
    if grant is not None and grant.grants > 1:
        detail = f"granted {grant.grants} times"
        return [about(record, Kind.GRANT_DOUBLE, _worth(record, granted - record.credits), detail, *evidence)]
    if granted != record.credits:
        detail = f"{record.credits} credits were bought, {granted} were granted"
        return [about(record, Kind.GRANT_MISMATCH, _worth(record, granted - record.credits), detail, *evidence)]
    return []


def _worth(record: PaymentRecord, credits: int) -> int:
    """The part of the price that so many credits are."""
    return abs(credits) * record.amount_minor // record.credits if record.credits else record.amount_minor


def _books(facts: PaymentFacts) -> list[Finding]:
    """The gateway's account holds what came and did not go back; the credits issued are those granted.

    Payments with a dispute are left to the comparison of the books' totals, and so are forgiven debts: they are booked
    on accounts that are not the payment's alone.
    """
    record, grant = facts.record, facts.grant
    booked, issued, has_dispute, has_debt = 0, 0, False, False
    for each in facts.sums:
        if each.account.startswith("asset:gateway:") and each.asset == record.currency:
            booked += each.debit - each.credit
        elif each.account == "asset:disputed":
            has_dispute = True
        elif each.account == "issued":
            issued += each.debit
        elif each.account == "debts":
            has_debt = True
    refunded = sum(each.amount_minor for each in facts.refunds if each.status == "SUCCESS" and not each.receipt_id)
    expected = record.unapplied_minor + (record.amount_minor - refunded if record.is_paid else 0)
    granted = grant.credits + grant.granted_again if grant is not None else 0
    evidence = (
        side("payment", status=record.status, received=expected),
        side("ledger", received=booked, issued=issued),
        side("wallet", granted=granted),
    )
    if booked != expected and not has_dispute:
        detail = f"the gateway's account says {booked}, payments, receipts and refunds {expected}"
        return [about(record, Kind.BOOKS_MISMATCH, booked - expected, detail, *evidence)]
    if issued != granted and not has_debt:
        detail = f"{issued} credits are booked as issued, {granted} were granted"
        return [about(record, Kind.BOOKS_MISMATCH, _worth(record, issued - granted), detail, *evidence)]
    return []


judge_grant = _when_still(_grant)
judge_books = _when_still(_books)
