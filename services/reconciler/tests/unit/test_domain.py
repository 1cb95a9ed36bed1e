"""When books disagree, when that counts, and which queues an envelope must have reached."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from common.topology import CONTRACT
from reconciler.domain import books, deliveries
from reconciler.domain.books import CHECKS, Comparison, Difference
from reconciler.domain.deliveries import Destination, PublishedEnvelope, Unclaimed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOLERANCE = timedelta(seconds=60)

# What the services say after one ₹500 pack was sold and 550 of its credits were spent.
AGREEING: dict[str, dict[str, int]] = {
    "payment": {
        "payments.paid.count": 1,
        "payments.paid.minor": 50_000,
        "payments.paid.credits": 5_500,
        "payments.paid.gst_minor": 7_627,
        "payments.failed.count": 3,
        "invoices.count": 1,
        "checkpoints.mismatched": 0,
    },
    "wallet": {
        "grants.count": 1,
        "grants.credits": 5_500,
        "consumed.credits": 550,
        "wallets.available": 4_910,
        "wallets.locked": 40,
        "wallets.debt": 7,
        "wallets.mismatched": 0,
        "wallets.negative": 0,
        "checkpoints.mismatched": 0,
        "lots.remaining.paid": 4_910,
        "lots.remaining.bonus": 0,
        "lots.value_minor": 37_828,
        "holds.value_minor": 308,
    },
    "ledger": {
        "ledger.INR.asset:gateway:cashfree.debit": 50_000,
        "ledger.INR.asset:gateway:razorpay.debit": 0,
        "ledger.INR.liability:gst:cgst.credit": 3_814,
        "ledger.INR.liability:gst:sgst.credit": 3_813,
        "ledger.INR.liability:deferred_credits.credit": 42_373,
        "ledger.INR.liability:deferred_credits.debit": 4_237,
        "ledger.CREDIT.wallets:paid.credit": 5_000,
        "ledger.CREDIT.wallets:paid.debit": 90,
        "ledger.CREDIT.wallets:locked.credit": 40,
        "ledger.CREDIT.debts.debit": 7,
        "ledger.CREDIT.wallets:bonus.credit": 500,
        "ledger.CREDIT.wallets:bonus.debit": 500,
        "ledger.CREDIT.burned.credit": 550,
        "ledger.INR.difference": 0,
        "ledger.CREDIT.difference": 0,
        "journals.unbalanced": 0,
    },
}


def changed(service: str, name: str, by: int) -> dict[str, dict[str, int]]:
    totals = {each: dict(sums) for each, sums in AGREEING.items()}
    totals[service][name] = totals[service].get(name, 0) + by
    return totals


def test_books_that_agree_agree_in_everything() -> None:
    comparisons = books.compare(AGREEING)
    assert [(each.kind, each.reference) for each in comparisons] == [(each.kind, each.reference) for each in CHECKS]
    assert [each for each in comparisons if not each.agrees] == []


# Every total that is compared, and what its being wrong must show as.
SHOWS_AS = [
    ("payment", "payments.paid.credits", {"payment_grant_mismatch"}),
    ("payment", "payments.paid.count", {"payment_grant_mismatch", "payment_invoice_mismatch"}),
    ("payment", "payments.paid.minor", {"payment_ledger_mismatch"}),
    ("payment", "payments.paid.gst_minor", {"payment_ledger_mismatch"}),
    ("payment", "invoices.count", {"payment_invoice_mismatch"}),
    ("payment", "payments.failed.count", set()),
    ("payment", "checkpoints.mismatched", {"payment_inconsistent"}),
    ("wallet", "checkpoints.mismatched", {"wallet_inconsistent"}),
    ("wallet", "grants.credits", {"payment_grant_mismatch"}),
    ("wallet", "consumed.credits", {"wallet_ledger_mismatch"}),
    ("wallet", "wallets.available", {"wallet_inconsistent"}),
    ("wallet", "wallets.locked", {"wallet_ledger_mismatch"}),
    ("wallet", "wallets.debt", {"wallet_ledger_mismatch"}),
    ("wallet", "holds.value_minor", {"wallet_ledger_mismatch"}),
    ("wallet", "wallets.mismatched", {"wallet_inconsistent"}),
    ("wallet", "wallets.negative", {"wallet_inconsistent"}),
    ("wallet", "lots.remaining.paid", {"wallet_inconsistent", "wallet_ledger_mismatch"}),
    ("wallet", "lots.remaining.bonus", {"wallet_inconsistent", "wallet_ledger_mismatch"}),
    ("wallet", "lots.value_minor", {"wallet_ledger_mismatch"}),
    ("ledger", "ledger.INR.asset:gateway:razorpay.debit", {"payment_ledger_mismatch"}),
    ("ledger", "ledger.INR.liability:deferred_credits.debit", {"wallet_ledger_mismatch"}),
    ("ledger", "ledger.CREDIT.wallets:bonus.credit", {"wallet_ledger_mismatch"}),
    ("ledger", "ledger.INR.difference", {"ledger_unbalanced"}),
    ("ledger", "journals.unbalanced", {"ledger_unbalanced"}),
]


@pytest.mark.parametrize(("service", "name", "kinds"), SHOWS_AS, ids=[name for _, name, _ in SHOWS_AS])
@pytest.mark.parametrize("by", [1, -1])
def test_one_off_shows(service: str, name: str, kinds: set[str], by: int) -> None:
    comparisons = books.compare(changed(service, name, by))
    assert {each.kind for each in comparisons if not each.agrees} == kinds


def test_what_no_service_answered_is_not_judged() -> None:
    totals = {service: sums for service, sums in AGREEING.items() if service != "wallet"}
    assert {each.kind for each in books.compare(totals)} == {
        "payment_invoice_mismatch",
        "payment_ledger_mismatch",
        "payment_inconsistent",
        "ledger_unbalanced",
    }
    assert books.compare({}) == []


def seen(left: int, right: int, since: datetime) -> Difference:
    return Difference(Comparison("k", "r", left, right), since)


def test_a_difference_counts_once_it_has_not_moved() -> None:
    comparison = Comparison("k", "r", 1, 2)
    first = books.unchanged_since([comparison], [], NOW)
    assert first == [seen(1, 2, NOW)]
    assert books.mismatches(first, NOW, timedelta(0)) == [], "one look is never enough"
    later = books.unchanged_since([comparison], first, NOW + TOLERANCE)
    assert later == first
    assert books.mismatches(later, NOW + TOLERANCE, TOLERANCE) == first
    assert books.mismatches(later, NOW + TOLERANCE / 2, TOLERANCE) == []


def test_a_difference_that_moves_begins_anew() -> None:
    before = [seen(1, 2, NOW)]
    moved = books.unchanged_since([Comparison("k", "r", 2, 3)], before, NOW + TOLERANCE)
    assert moved == [seen(2, 3, NOW + TOLERANCE)]
    assert books.mismatches(moved, NOW + TOLERANCE, TOLERANCE) == []


def test_a_difference_that_is_gone_is_forgotten() -> None:
    assert books.unchanged_since([Comparison("k", "r", 2, 2)], [seen(1, 2, NOW)], NOW + TOLERANCE) == []


def test_a_mismatch_says_what_is_off_and_by_how_much() -> None:
    wrong = next(each for each in books.compare(changed("wallet", "grants.credits", -500)) if not each.agrees)
    [finding] = books.findings([Difference(wrong, NOW)])
    assert (finding.kind, finding.reference) == ("payment_grant_mismatch", "credits")
    assert "wallet.grants.credits is 5000" in finding.detail
    assert finding.detail.endswith("off by 500")


def published(exchange: str, key: str) -> PublishedEnvelope:
    return PublishedEnvelope(ids.new(), exchange, key, True)


def test_an_envelope_is_expected_wherever_the_contract_says() -> None:
    paid, received = (
        published("payment.exchange", "payment.success"),
        published("webhook.exchange", "webhook.x.received"),
    )
    nobody = published("settlement.exchange", "settlement.requested")
    assert deliveries.by_destination(CONTRACT, [paid, received, nobody]) == {
        Destination("payment", "invoice.generate"): [paid],
        Destination("wallet", "wallet.credit"): [paid],
        Destination("ledger", "ledger.posting"): [paid],
        Destination("fraud", "fraud.detection"): [paid],
        Destination("notifier", "webhooks.outbound"): [paid],
        Destination("payment", "webhook.processing"): [received],
    }


def test_a_redelivery_is_expected_at_its_home_queue_alone() -> None:
    home, tier = published("requeue.exchange", "wallet.credit"), published("retry.30000ms", "wallet.credit")
    dead, elsewhere = published("requeue.exchange", "wallet.credit.dlq"), published("requeue.exchange", "gone.queue")
    assert deliveries.by_destination(CONTRACT, [home, tier, dead, elsewhere]) == {
        Destination("wallet", "wallet.credit"): [home, tier]
    }


def test_what_has_to_wait_is_not_lost_yet() -> None:
    assert deliveries.lost_at(published("payment.exchange", "payment.success"), NOW, TOLERANCE) == NOW
    assert deliveries.lost_at(published("retry.30000ms", "wallet.credit"), NOW, TOLERANCE) == NOW + timedelta(
        seconds=90
    )
    unconfirmed = PublishedEnvelope(ids.new(), "payment.exchange", "payment.success", False)
    assert deliveries.lost_at(unconfirmed, NOW, TOLERANCE) == NOW + TOLERANCE


@given(st.integers(0, 10_000), st.integers(0, 600))
def test_gaps_between_announcements_grow_to_an_hour(attempts: int, tolerance_seconds: int) -> None:
    tolerance = timedelta(seconds=tolerance_seconds)
    gap = deliveries.next_attempt(attempts, NOW, tolerance) - NOW
    longer = deliveries.next_attempt(attempts + 1, NOW, tolerance) - NOW
    assert timedelta(0) < gap <= longer <= timedelta(hours=1)


def test_only_pairs_that_miss_something_are_findings() -> None:
    findings = deliveries.findings(
        [Unclaimed("payment", "wallet.credit", 2), Unclaimed("payment", "ledger.posting", 0)]
    )
    assert [(each.kind, each.reference) for each in findings] == [("delivery_lost", "payment > wallet.credit")]


@pytest.mark.parametrize(
    ("service", "name", "expected"),
    [("wallet", "grants.count", "wallet.grants.count"), ("ledger", "ledger.INR.difference", "ledger.INR.difference")],
)
def test_totals_are_named_among_all(service: str, name: str, expected: str) -> None:
    assert books.qualified(service, name) == expected
