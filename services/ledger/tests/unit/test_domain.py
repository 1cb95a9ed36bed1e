"""Every template, every event: what is posted comes to zero, what would not is refused."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common import ids
from ledger.domain import chart, journals
from ledger.domain.chart import ACCOUNTS, CHART, Side
from ledger.domain.journals import TEMPLATES, FinancialEvent

CODES = {account.number: account.code for account in CHART}
# Beyond the amounts of any payment, within what a bigint can add up.
AMOUNTS = st.integers(min_value=0, max_value=2**53)


def financial_event(key: str, amounts: dict[str, int], **changes: Any) -> FinancialEvent:
    of_a_payment = FinancialEvent(key, ids.new(), "mer_commdesk", "pay", ids.new(), None, 0, "cashfree", "INR", amounts)
    return replace(of_a_payment, **changes)


def fields_of(event: str) -> list[str]:
    return sorted({name for template in TEMPLATES[event] for line in template.lines for name in line.amounts})


@st.composite
def events(draw: st.DrawFn) -> FinancialEvent:
    event = draw(st.sampled_from(sorted(TEMPLATES)))
    amounts = {name: draw(AMOUNTS) for name in fields_of(event)}
    if event == "payment.success":
        total = sum(amounts[name] for name in ("net", "cgst", "sgst", "igst"))
        # All of it is new money, or all of it was received before.
        amounts |= {"taken": total, "applied": 0} if draw(st.booleans()) else {"taken": 0, "applied": total}
    if event in ("payment.refunded", "refund.reversed", "payment.dispute.lost"):
        whole = "disputed" if event == "payment.dispute.lost" else "refunded"
        # What was earned may be a paisa below zero.
        amounts |= {name: draw(st.integers(-3, 2**53)) for name in ("earned", "absorbed") if name in amounts}
        amounts["held"] += 6
        amounts[whole] = sum(value for name, value in amounts.items() if name not in (whole, "fee"))
    if event == "settlement.imported":
        parts = {name: draw(st.integers(-(2**50), 2**50)) for name in ("net", "fee", "fee_tax", "adjustment")}
        amounts = parts | {"gross": sum(parts.values())}
    return financial_event(event, amounts, gateway=draw(st.sampled_from(["cashfree", "razorpay"])))


def _amounts_on_one_side(event: str) -> list[str]:
    names = Counter(name for template in TEMPLATES[event] for line in template.lines for name in line.amounts)
    return sorted(name for name, lines in names.items() if lines == 1)


@given(events())
def test_every_journal_comes_to_zero_in_one_asset(event: FinancialEvent) -> None:
    caused = journals.journals_of(event, ids.new)
    assert len({journal.template for journal in caused}) == len(caused)
    for journal in caused:
        assert sum(entry.debit - entry.credit for entry in journal.entries) == 0
        assert {ACCOUNTS[CODES[entry.account]].asset for entry in journal.entries} == {journal.asset}
        assert all((entry.debit > 0) != (entry.credit > 0) for entry in journal.entries)
        assert len(journal.entries) >= 2


@given(events(), st.data())
def test_an_event_that_does_not_add_up_is_refused_whole(event: FinancialEvent, data: st.DataObject) -> None:
    # The amounts that one line alone takes; the others are on both sides of their journal.
    names = _amounts_on_one_side(event.key)
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    wrong = replace(event, amounts={**event.amounts, name: event.amounts[name] + data.draw(st.integers(1, 10**6))})
    postings = journals.journals_of_each([wrong], ids.new)
    assert postings.journals == []
    assert [type(error) for error in postings.refusals] == [journals.JournalUnbalanced]


@given(st.lists(events(), max_size=20))
def test_a_batch_posts_what_its_events_post_alone(batch: list[FinancialEvent]) -> None:
    postings = journals.journals_of_each(batch, ids.new)
    alone = [journal for event in batch for journal in journals.journals_of(event, ids.new)]
    assert postings.refusals == [None] * len(batch)
    keys = [(each.event.cause_id, each.template, tuple(each.entries)) for each in postings.journals]
    assert Counter(keys) == Counter((each.event.cause_id, each.template, tuple(each.entries)) for each in alone)
    assert keys == sorted(keys, key=lambda each: each[0].int), "posted in the order of causes, so that posters queue up"


@pytest.mark.parametrize("event", sorted(TEMPLATES))
def test_nothing_happened_posts_nothing(event: str) -> None:
    assert journals.journals_of(financial_event(event, dict.fromkeys(fields_of(event), 0)), ids.new) == []


UNSIGNED = sorted(
    {
        (event, name)
        for event, templates in TEMPLATES.items()
        for template in templates
        for line in template.lines
        for name in line.amounts
        if not line.is_signed
    }
)


@pytest.mark.parametrize(("event", "name"), UNSIGNED)
def test_amounts_are_never_negative_unless_their_line_says_so(event: str, name: str) -> None:
    amounts = dict.fromkeys(fields_of(event), 0) | {name: -1}
    with pytest.raises(journals.AmountNegative):
        journals.journals_of(financial_event(event, amounts), ids.new)


def booked(event: FinancialEvent) -> dict[str, int]:
    """Debits less credits, by account."""
    balances: Counter[str] = Counter()
    for journal in journals.journals_of(event, ids.new):
        for entry in journal.entries:
            balances[CODES[entry.account]] += entry.debit - entry.credit
    return {code: balance for code, balance in balances.items() if balance}


GST = {"cgst": 3_814, "sgst": 3_813, "igst": 0}


def test_a_refund_takes_what_was_deferred_and_what_was_earned() -> None:
    """The ₹500 pack, 550 of its 5,500 credits spent: 4,237 paise of its net price are revenue."""
    held, earned = 38_136, 4_237
    amounts = {"refunded": 50_000, "held": held, "earned": earned, "absorbed": 0, **GST}
    refunded = booked(financial_event("payment.refunded", amounts))
    assert refunded == {
        "liability:deferred_credits": held,
        "revenue:credits": earned,
        "liability:gst:cgst": 3_814,
        "liability:gst:sgst": 3_813,
        "asset:gateway:cashfree": -50_000,
    }
    absorbed = booked(financial_event("payment.refunded", amounts | {"earned": 0, "absorbed": earned}))
    assert (absorbed["expense:clawback_absorbed"], "revenue:credits" in absorbed) == (earned, False)
    reversed = booked(financial_event("refund.reversed", amounts))
    assert reversed == {code: -balance for code, balance in refunded.items()}


def test_a_paisa_below_zero_is_booked_on_the_other_side() -> None:
    amounts = {"refunded": 50_000, "held": 42_374, "earned": -1, "absorbed": 0, **GST}
    [journal] = journals.journals_of(financial_event("payment.refunded", amounts), ids.new)
    [revenue] = [entry for entry in journal.entries if CODES[entry.account] == "revenue:credits"]
    assert (revenue.debit, revenue.credit) == (0, 1)


def test_a_dispute_moves_the_money_out_of_the_gateway_and_back_or_away() -> None:
    disputed = booked(financial_event("payment.disputed", {"disputed": 50_000}))
    assert disputed == {"asset:disputed": 50_000, "asset:gateway:cashfree": -50_000}
    won = booked(financial_event("payment.dispute.won", {"disputed": 50_000}))
    assert won == {code: -balance for code, balance in disputed.items()}
    lost = {"disputed": 50_000, "held": 38_136, "earned": 4_237, "fee": 1_500, **GST}
    assert booked(financial_event("payment.dispute.lost", lost)) == {
        "liability:deferred_credits": 38_136,
        "expense:chargeback": 4_237 + 1_500,
        "liability:gst:cgst": 3_814,
        "liability:gst:sgst": 3_813,
        "asset:disputed": -50_000,
        "asset:gateway:cashfree": -1_500,
    }


def test_a_settlement_is_booked_to_the_bank_less_its_fee_and_a_correction_the_other_way_round() -> None:
    amounts = {"gross": 50_000, "fee": 950, "fee_tax": 171, "adjustment": 100, "net": 48_779}
    imported = booked(financial_event("settlement.imported", amounts))
    assert imported == {
        "asset:bank": 48_779,
        "expense:gateway_fee": 950,
        "asset:gst_input": 171,
        "asset:settlement_suspense": 100,
        "asset:gateway:cashfree": -50_000,
    }
    corrected = financial_event("settlement.imported", {name: -amount for name, amount in amounts.items()})
    assert booked(corrected) == {code: -balance for code, balance in imported.items()}


def test_credits_are_locked_then_released_or_taken_back_with_what_is_missing_as_debt() -> None:
    credits = {"credits_paid": 5_000, "credits_bonus": 400}
    locked = booked(financial_event("wallet.locked", credits))
    assert locked == {"wallets:paid": 5_000, "wallets:bonus": 400, "wallets:locked": -5_400}
    released = booked(financial_event("wallet.released", credits))
    assert released == {code: -balance for code, balance in locked.items()}
    taken = booked(financial_event("wallet.reversed", credits | {"debt": 100}))
    assert taken == {"wallets:locked": 5_400, "debts": 100, "issued": -5_500}


def test_a_debt_is_paid_out_of_a_grant_or_forgiven() -> None:
    amounts = {"credits_paid": 20, "credits_bonus": 30, "value": 385, "forgiven": 0}
    assert booked(financial_event("wallet.debt.settled", amounts)) == {
        "wallets:paid": 20,
        "wallets:bonus": 30,
        "debts": -50,
        "liability:deferred_credits": 385,
        "revenue:credits": -385,
    }
    forgiven = {"credits_paid": 0, "credits_bonus": 0, "value": 0, "forgiven": 50}
    assert booked(financial_event("wallet.debt.settled", forgiven)) == {"issued": 50, "debts": -50}


def test_the_500_rupee_pack_to_the_paisa() -> None:
    paid = financial_event(
        "payment.success", {"taken": 50_000, "applied": 0, "net": 42_373, "cgst": 3_814, "sgst": 3_813, "igst": 0}
    )
    credited = financial_event("wallet.credited", {"credits_paid": 5_000, "credits_bonus": 500})
    debited = financial_event("wallet.debited", {"credits_paid": 50, "credits_bonus": 500, "value": 4_237})
    posted = {
        journal.template: [(CODES[entry.account], entry.debit, entry.credit) for entry in journal.entries]
        for event in (paid, credited, debited)
        for journal in journals.journals_of(event, ids.new)
    }
    assert posted == {
        "payment.success": [
            ("asset:gateway:cashfree", 50_000, 0),
            ("liability:deferred_credits", 0, 42_373),
            ("liability:gst:cgst", 0, 3_814),
            ("liability:gst:sgst", 0, 3_813),
        ],
        "wallet.credited": [("issued", 5_500, 0), ("wallets:paid", 0, 5_000), ("wallets:bonus", 0, 500)],
        "wallet.debited": [("wallets:bonus", 500, 0), ("wallets:paid", 50, 0), ("burned", 0, 550)],
        "wallet.debited.revenue": [("liability:deferred_credits", 4_237, 0), ("revenue:credits", 0, 4_237)],
    }


def test_a_receipt_is_booked_once_then_applied_or_refunded() -> None:
    """₹600 came for the ₹500 pack: the pack is granted out of it, ₹100 goes back, the gateway owes ₹500."""
    received = financial_event("payment.received", {"received": 60_000})
    applied = financial_event(
        "payment.success", {"taken": 0, "applied": 50_000, "net": 42_374, "cgst": 3_813, "sgst": 3_813, "igst": 0}
    )
    refunded = financial_event("payment.receipt.refunded", {"refunded": 10_000})
    balances: Counter[str] = Counter()
    for event in (received, applied, refunded):
        for journal in journals.journals_of(event, ids.new):
            for entry in journal.entries:
                balances[CODES[entry.account]] += entry.debit - entry.credit
    assert {code: balance for code, balance in balances.items() if balance} == {
        "asset:gateway:cashfree": 50_000,
        "liability:deferred_credits": -42_374,
        "liability:gst:cgst": -3_813,
        "liability:gst:sgst": -3_813,
    }


def test_a_debit_of_worthless_credits_has_no_revenue() -> None:
    event = financial_event("wallet.debited", {"credits_paid": 0, "credits_bonus": 5, "value": 0}, currency="")
    assert [journal.template for journal in journals.journals_of(event, ids.new)] == ["wallet.debited"]


def test_refusals_stand_where_their_events_do() -> None:
    amounts = {"taken": 10, "applied": 0, "net": 10, "cgst": 0, "sgst": 0, "igst": 0}
    right, wrong = (financial_event("payment.success", amounts | {"net": net}) for net in (10, 9))
    refusals = journals.journals_of_each([wrong, right, wrong, right], ids.new).refusals
    assert [error.code if error else "" for error in refusals] == ["journal_unbalanced", "", "journal_unbalanced", ""]


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"gateway": "paypal"}, journals.AccountUnknown), ({"currency": "USD"}, journals.AssetUnknown)],
)
def test_what_the_chart_does_not_know_is_refused(changes: dict[str, str], error: type[Exception]) -> None:
    amounts = {"taken": 10, "applied": 0, "net": 10, "cgst": 0, "sgst": 0, "igst": 0}
    event = financial_event("payment.success", amounts, **changes)
    with pytest.raises(error):
        journals.journals_of(event, ids.new)


def test_the_chart_has_numbers_and_codes_of_their_own_and_sides() -> None:
    assert len({account.number for account in CHART}) == len(ACCOUNTS) == len(CHART)
    assert all(chart.NORMAL_SIDE[account.kind] in Side for account in CHART)
