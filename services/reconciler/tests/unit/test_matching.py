"""What matching finds: every planted fault by kind, payment and amount, and nothing else."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.domain.differences import Kind
from reconciler.domain.payment_rules import judge_payment
from reconciler.domain.records import BankLine, Coverage, RefundRecord, Settlement, day_in_india, working_days_after
from reconciler.domain.settlement_rules import bank_line_of, judge_settlement, merged, words_of
from reconciler.domain.terms import Terms
from services.reconciler.tests import worlds
from services.reconciler.tests.worlds import NOW, PAYMENT_FAULTS, SETTLEMENT_FAULTS, TERMS, Expected, Fault, World


def found(made: World, now: datetime = NOW, terms: Terms = TERMS) -> list[Expected]:
    verdicts = [judge_payment(facts, terms, now) for facts in made.payment_facts()]
    verdicts += [judge_settlement(facts, terms, now) for facts in made.settlement_facts()]
    return sorted(
        Expected(each.kind, each.reference, each.payment_id, each.amount_minor)
        for verdict in verdicts
        for each in verdict.findings
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_sides_that_agree_have_no_difference(seed: int, count: int) -> None:
    assert found(worlds.world(seed, count).finish()) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_every_planted_fault_is_found_and_none_else(seed: int) -> None:
    made = worlds.planted(seed, 300)
    assert found(made) == sorted(made.expected)


@pytest.mark.parametrize("fault", PAYMENT_FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_a_fault_alone_is_found_alone(fault: Fault, seed: int) -> None:
    made = worlds.world(seed, 20)
    fault(made, made.random.choice(sorted(made.records)))
    assert found(made.finish()) == made.expected
    assert len(made.expected) == 1


@pytest.mark.parametrize("fault", SETTLEMENT_FAULTS[:2], ids=lambda fault: fault.__name__)
def test_a_settlement_unlike_its_rows_is_found(fault: Fault) -> None:
    made = worlds.world(7, 20)
    fault(made, sorted(made.records)[3])
    assert found(made.finish()) == made.expected


def test_every_kind_can_be_planted() -> None:
    """Except that of a payment that is gone, which takes a database to remember it."""
    assert {each.kind for each in worlds.planted(3, 300).expected} == set(Kind) - {Kind.PAYMENT_UNKNOWN}


@given(st.integers(0, 366 * 86_400))
def test_the_clock_makes_delayed_and_then_missing(second: int) -> None:
    """At each moment one of: in time, delayed, missing; the verdict says when to look again."""
    paid_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    made = worlds.world(1, 1)
    [payment_id] = made.records
    for row in list(made.rows_of(payment_id)):
        made.change_row(row)
    made.refunds.clear()
    made.change(payment_id, paid_at=paid_at, status="SUCCESS", refunded_minor=0, changed_at=paid_at)
    record = made.records[payment_id]
    made.sums[payment_id] = [
        replace(made.sums[payment_id][0], credit=0, debit=record.amount_minor),
        made.sums[payment_id][1],
    ]
    [facts] = made.payment_facts()
    now, kinds = paid_at, []
    while True:
        verdict = judge_payment(facts, TERMS, now)
        kinds.append([each.kind for each in verdict.findings])
        if verdict.recheck_at is None:
            break
        assert verdict.recheck_at > now
        before = judge_payment(facts, TERMS, verdict.recheck_at - timedelta(microseconds=1))
        assert [each.kind for each in before.findings] == kinds[-1], "nothing changes before it says so"
        now = verdict.recheck_at
    assert kinds == [[], [Kind.SETTLEMENT_DELAYED], [Kind.SETTLEMENT_MISSING]]
    assert now == TERMS.missing_from(paid_at)
    assert day_in_india(TERMS.settled_by(paid_at)) > working_days_after(day_in_india(paid_at), 3)


def test_days_are_those_of_india() -> None:
    """Half past six in the evening UTC is the next day there, and the next month."""
    terms = Terms(settlement_days=1, settlement_grace_days=0)
    before = datetime(2026, 3, 31, 18, 29, 59, tzinfo=UTC)
    assert day_in_india(before) == date(2026, 3, 31)
    assert day_in_india(before + timedelta(seconds=1)) == date(2026, 4, 1)
    assert terms.settled_by(before) == datetime(2026, 4, 1, 18, 30, tzinfo=UTC)
    assert terms.settled_by(before + timedelta(seconds=1)) == datetime(2026, 4, 2, 18, 30, tzinfo=UTC)
    friday = datetime(2026, 4, 3, 12, tzinfo=UTC)
    assert day_in_india(terms.settled_by(friday) - timedelta(seconds=1)) == date(2026, 4, 6), "the Monday after"


def test_what_moves_is_no_difference_yet() -> None:
    """Wallet and books follow the payment; a difference counts once nothing has changed for the time in transit."""
    made = worlds.world(5, 1)
    [payment_id] = made.records
    made.change(payment_id, changed_at=NOW)
    del made.grants[payment_id], made.sums[payment_id]
    [facts] = made.payment_facts()
    verdict = judge_payment(facts, TERMS, NOW)
    assert (verdict.findings, verdict.recheck_at) == ([], NOW + TERMS.transit)
    later = judge_payment(facts, TERMS, NOW + TERMS.transit)
    assert {each.kind for each in later.findings} == {Kind.GRANT_MISSING, Kind.BOOKS_MISMATCH}


def test_rounding_of_a_fee_is_within_the_tolerance() -> None:
    made = worlds.world(5, 10)
    for payment_id in list(made.records):
        row = made.own_row(payment_id)
        made.change_row(row, replace(row, fee_minor=row.fee_minor + 1, net_minor=row.net_minor - 1))
    assert found(made.finish()) == []
    assert len(found(made, terms=replace(TERMS, fee_tolerance_minor=0))) >= 10


def test_a_settlement_that_was_sent_back_counts_for_nothing() -> None:
    made = worlds.world(5, 1).finish()
    [payment_id] = made.records
    row = made.own_row(payment_id)
    settlement = made.settlements[row.settlement_id]
    made.settlements[row.settlement_id] = replace(settlement, status="REVERSED")
    assert Kind.SETTLEMENT_MISSING in {each.kind for each in found(made)}
    again = replace(settlement, settlement_id="stl_again", utr="CITIN55555555")
    made.settlements["stl_again"] = again
    made.rows["stl_again"] = [replace(row, settlement_id="stl_again", utr=again.utr)]
    assert not {Kind.SETTLEMENT_MISSING, Kind.TRANSACTION_DUPLICATE} & {each.kind for each in found(made)}


@pytest.mark.parametrize(
    ("words", "is_named"),
    [
        ("NEFT CR-CITIN10000000-CASHFREE", True),
        ("citin 1000 0000", True),
        ("CITIN1000", True),
        ("CITIN", False),
        ("CITIN10000001", False),
    ],
)
def test_a_line_is_found_by_the_reference_as_banks_write_it(words: str, is_named: bool) -> None:
    made = worlds.world(1, 1).finish()
    settlement = next(iter(made.settlements.values()))
    assert settlement.utr == "CITIN10000000"
    line = BankLine(
        line_id="1",
        account="0",
        booked_on=date(2026, 2, 2),
        amount_minor=settlement.net_minor,
        currency="INR",
        words=words_of(words),
    )
    assert (bank_line_of(settlement, [line]) is line) is is_named


def test_days_without_a_statement_are_not_judged() -> None:
    made = worlds.world(1, 1).finish()
    facts = next(iter(made.settlement_facts()))
    settled: Settlement = facts.settlement
    assert settled.settled_at is not None
    first, last = TERMS.bank_line_on(settled.settled_at)
    half = [Coverage("1", first, first), Coverage("1", first + timedelta(days=1), last)]
    for coverage, is_judged in ((half, True), (half[:1], False), (half[1:], False), ([], False)):
        verdict = judge_settlement(replace(facts, lines=[], coverage=coverage, accounts=["1"]), TERMS, NOW)
        assert bool(verdict.findings) is is_judged
    of_another = replace(facts, lines=[], coverage=half, accounts=["1", "2"])
    assert not judge_settlement(of_another, TERMS, NOW).findings, "it may have gone to the other account"
    assert merged([*half, Coverage("2", first, last)]) == [Coverage("1", first, last), Coverage("2", first, last)]


@given(st.integers(0, 2**32), st.lists(st.sampled_from(PAYMENT_FAULTS), min_size=2, max_size=4, unique=True))
def test_several_faults_of_one_payment_are_one_finding_of_each_kind_and_reference(
    seed: int, faults: list[Fault]
) -> None:
    """A case is open once for each kind and reference: one statement opens all of a page."""
    made = worlds.world(seed, 2)
    payment_id = sorted(made.records)[0]
    for fault in faults:
        try:
            fault(made, payment_id)
        except (KeyError, StopIteration, ValueError):
            continue  # the fault before has taken away what this one changes
    made.change(payment_id, refunded_minor=7)
    for facts in made.payment_facts():
        findings = judge_payment(facts, TERMS, NOW).findings
        assert len({(each.kind, each.reference) for each in findings}) == len(findings)


def test_a_refund_that_stays_open_hides_nothing() -> None:
    made = worlds.world(5, 1)
    [payment_id] = made.records
    refund = RefundRecord(
        refund_id="rfd_1", payment_id=payment_id, status="PROCESSING", amount_minor=1, currency="INR", created_at=NOW
    )
    made.refunds[payment_id] = [*made.refunds.get(payment_id, ()), refund]
    del made.grants[payment_id]
    [facts] = made.payment_facts()
    kinds = [
        {each.kind for each in judge_payment(facts, TERMS, NOW + timedelta(days=days)).findings} for days in (0, 1)
    ]
    assert Kind.GRANT_MISSING not in kinds[0]
    assert Kind.GRANT_MISSING in kinds[1]
