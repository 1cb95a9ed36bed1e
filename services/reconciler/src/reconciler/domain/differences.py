"""The kinds of difference that matching finds, and what one says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from reconciler.domain.runs import Evidence, Finding


class Kind(StrEnum):
    # Paid, confirmed, and in no settlement by the day it was due; missing when it is long overdue.
    SETTLEMENT_DELAYED = "settlement_delayed"
    SETTLEMENT_MISSING = "settlement_missing"
    # The settlement is less, or more, than its rows.
    SETTLEMENT_SHORT = "settlement_short"
    SETTLEMENT_EXCESS = "settlement_excess"
    # Money of one payment twice.
    TRANSACTION_DUPLICATE = "transaction_duplicate"
    # A refund that one side knows and the other does not, or with another amount.
    REFUND_INCONSISTENT = "refund_inconsistent"
    # A row of a settlement for which there is no payment of ours.
    ORPHAN_AT_GATEWAY = "orphan_at_gateway"
    # A payment that counts as paid and of which the gateway has said nothing.
    ORPHAN_WITH_US = "orphan_with_us"
    FEE_MISMATCH = "fee_mismatch"
    TAX_MISMATCH = "tax_mismatch"
    AMOUNT_MISMATCH = "amount_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    # A row under another bank reference than its settlement.
    UTR_MISMATCH = "utr_mismatch"
    # The gateway settled a payment that does not count as paid: late money.
    STATUS_MISMATCH = "status_mismatch"
    WEBHOOK_MISSING = "webhook_missing"
    GRANT_MISSING = "grant_missing"
    GRANT_DOUBLE = "grant_double"
    # Other credits than the payment bought, or credits for a payment that is not paid.
    GRANT_MISMATCH = "grant_mismatch"
    # What is booked about a payment is not what payment, wallet and gateway say.
    BOOKS_MISMATCH = "books_mismatch"
    # A payment that was judged before, and that payment does not know any more: its database was restored.
    PAYMENT_UNKNOWN = "payment_unknown"
    BANK_LINE_MISSING = "bank_line_missing"
    BANK_AMOUNT_MISMATCH = "bank_amount_mismatch"


# Payment settles these itself when it is asked to verify the order at the gateway.
HEALED_BY_SYNC = frozenset({Kind.STATUS_MISMATCH, Kind.ORPHAN_WITH_US})


class Verdict(Struct, frozen=True):
    """What is wrong now, and when time alone may change that; never, when *recheck_at* is None."""

    findings: Sequence[Finding]
    recheck_at: datetime | None = None


def difference(
    kind: Kind,
    reference: str,
    amount_minor: int,
    currency: str,
    detail: str,
    *evidence: Evidence,
    payment_id: str = "",
    settlement_id: str = "",
    merchant_id: str = "",
) -> Finding:
    return Finding(
        kind,
        reference,
        detail,
        payment_id,
        settlement_id,
        merchant_id,
        abs(amount_minor),
        currency,
        tuple(evidence),
    )


def side(source: str, **fields: object) -> Evidence:
    """What one side says, field by field."""
    values: Mapping[str, str] = {name: str(value) for name, value in fields.items()}
    return Evidence(source, values)


def verdict(outcomes: Sequence[Finding | datetime]) -> Verdict:
    """Rules yield what is wrong, or the moment at which it would be. Of one kind and reference there is one case:
    what several rules say about it becomes one finding."""
    findings: dict[tuple[str, str], Finding] = {}
    for each in outcomes:
        if isinstance(each, Finding):
            key = (each.kind, each.reference)
            findings[key] = _joined(findings[key], each) if key in findings else each
    times = [each for each in outcomes if isinstance(each, datetime)]
    return Verdict(list(findings.values()), min(times, default=None))


def _joined(first: Finding, second: Finding) -> Finding:
    return replace(
        first,
        detail=f"{first.detail}; {second.detail}",
        amount_minor=max(first.amount_minor, second.amount_minor),
        evidence=(*first.evidence, *second.evidence),
    )
