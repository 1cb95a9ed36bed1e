"""Rules about one settlement: its rows against its sums, its payments, and the bank's statement. Pure."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from reconciler.domain.differences import Kind, Verdict, difference, side, verdict
from reconciler.domain.records import BankLine, Coverage, Settlement, SettlementFacts
from reconciler.domain.runs import Evidence, Finding
from reconciler.domain.terms import Terms

Outcomes = Iterator[Finding | datetime]
# A shorter piece of a bank reference may be anything.
_UTR_CHARACTERS_MIN: Final = 8


def judge_settlement(facts: SettlementFacts, terms: Terms, now: datetime) -> Verdict:
    """What is wrong about one settlement at *now*; a reversed one is settled again in another."""
    if facts.settlement.status == "REVERSED":
        return Verdict([])
    return verdict([outcome for rule in RULES for outcome in rule(facts, terms, now)])


def words_of(text: str) -> str:
    """Letters and digits in capitals: banks put prefixes, blanks and slashes into references."""
    return "".join(character for character in text.upper() if character.isascii() and character.isalnum())


def names(line: BankLine, utr: str) -> bool:
    """Whether the line's reference holds the UTR, or its beginning where the bank cuts it off."""
    wanted = words_of(utr)
    if len(wanted) < _UTR_CHARACTERS_MIN:
        return False
    return wanted in line.words or (len(line.words) >= _UTR_CHARACTERS_MIN and line.words in wanted)


def bank_line_of(settlement: Settlement, lines: Sequence[BankLine]) -> BankLine | None:
    """The transfer: the line with its UTR, that of its amount first when there are several."""
    named = [line for line in lines if line.currency == settlement.currency and names(line, settlement.utr)]
    return min(named, key=lambda line: (line.amount_minor != settlement.net_minor, line.line_id), default=None)


def merged(coverage: Sequence[Coverage]) -> list[Coverage]:
    """Statements of following days as one stretch."""
    stretches: list[Coverage] = []
    for each in sorted(coverage, key=lambda each: (each.account, each.first)):
        before = stretches[-1] if stretches else None
        if before and before.account == each.account and each.first <= before.last + timedelta(days=1):
            stretches[-1] = Coverage(each.account, before.first, max(before.last, each.last))
        else:
            stretches.append(each)
    return stretches


def _stated(settlement: Settlement) -> Evidence:
    return side(
        "gateway",
        settlementId=settlement.settlement_id,
        status=settlement.status,
        utr=settlement.utr,
        gross=settlement.gross_minor,
        fee=settlement.fee_minor,
        feeTax=settlement.fee_tax_minor,
        adjustment=settlement.adjustment_minor,
        net=settlement.net_minor,
        currency=settlement.currency,
    )


def _about(settlement: Settlement, kind: Kind, amount: int, detail: str, *evidence: Evidence) -> Finding:
    return difference(
        kind,
        settlement.settlement_id,
        amount,
        settlement.currency,
        detail,
        _stated(settlement),
        *evidence,
        settlement_id=settlement.settlement_id,
        merchant_id=settlement.merchant_id,
    )


def _orphans(facts: SettlementFacts, terms: Terms, now: datetime) -> Outcomes:
    """Each row but an adjustment is about a payment of ours."""
    settlement = facts.settlement
    for row in facts.rows:
        if row.payment_id or row.kind == "ADJUSTMENT":
            continue
        yield difference(
            Kind.ORPHAN_AT_GATEWAY,
            f"{settlement.settlement_id}/{row.row_id}",
            row.amount_minor,
            row.currency,
            f"{row.kind} of order {row.order_id or '?'} ({row.gateway_payment_id or '?'}), which is not ours",
            side("gateway", orderId=row.order_id, gatewayPaymentId=row.gateway_payment_id, amount=row.amount_minor),
            side("payment"),
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
        )


def _sum(facts: SettlementFacts, terms: Terms, now: datetime) -> Outcomes:
    """The settlement takes in what its rows do. Rows in another currency are a difference of their own."""
    settlement = facts.settlement
    rows = [row for row in facts.rows if row.kind != "ADJUSTMENT"]
    if not rows or any(row.currency != settlement.currency for row in rows):
        return
    total = sum(row.amount_minor for row in rows)
    if short := total - settlement.gross_minor:
        kind = Kind.SETTLEMENT_SHORT if short > 0 else Kind.SETTLEMENT_EXCESS
        detail = f"{len(rows)} rows add up to {total}, the settlement to {settlement.gross_minor}"
        yield _about(settlement, kind, short, detail, side("rows", count=len(rows), amount=total))


def _bank(facts: SettlementFacts, terms: Terms, now: datetime) -> Outcomes:
    """The bank booked the net under the UTR. Judged for days of which there are statements."""
    settlement = facts.settlement
    if settlement.status != "SETTLED" or settlement.settled_at is None or settlement.net_minor <= 0:
        return
    if (line := bank_line_of(settlement, facts.lines)) is not None:
        if off := line.amount_minor - settlement.net_minor:
            detail = f"the bank booked {line.amount_minor}, the gateway says {settlement.net_minor}"
            evidence = side("bank", lineId=line.line_id, bookedOn=line.booked_on, amount=line.amount_minor)
            yield _about(settlement, Kind.BANK_AMOUNT_MISMATCH, off, detail, evidence)
        return
    first, last = terms.bank_line_on(settlement.settled_at)
    stretches = merged(facts.coverage)
    covered = {each.account for each in stretches if each.first <= first and last <= each.last}
    # It may have gone to any of our accounts: all of them have to be stated.
    if facts.accounts and covered.issuperset(facts.accounts):
        detail = f"no line of the bank with {settlement.utr or 'its reference'} until {last.isoformat()}"
        yield _about(settlement, Kind.BANK_LINE_MISSING, settlement.net_minor, detail, side("bank"))


RULES: tuple[Callable[[SettlementFacts, Terms, datetime], Outcomes], ...] = (_orphans, _sum, _bank)
