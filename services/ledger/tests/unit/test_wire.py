"""Events as they come off the wire."""

from collections.abc import Callable
from typing import Any

import pytest

from commdesk.payment.v1.refunds_pb2 import SPENT_CREDITS_POLICY_ABSORB
from common import ids
from common.ids import IdInvalid
from common.times import TimeOutOfRange
from ledger.wire import audit, messages
from ledger.wire import events as wire

from ..builders import Events


def test_a_payment_says_what_happened_to_the_paisa(events: Events) -> None:
    event = events.paid()
    financial_event = wire.payment_succeeded(event)
    parts = {"net": 42_373, "cgst": 3_814, "sgst": 3_813, "igst": 0}
    assert financial_event.amounts == {"taken": 50_000, "applied": 0, **parts}
    assert (financial_event.gateway, financial_event.currency, financial_event.merchant_id) == (
        "cashfree",
        "INR",
        "mer_commdesk",
    )
    assert financial_event.effective_unix_micros == event.time_unix_micros


def test_a_success_after_a_receipt_takes_nothing_from_the_gateway_again(events: Events) -> None:
    event = events.paid()
    event.receipt_id = ids.encode("rcp", ids.new())
    assert wire.payment_succeeded(event).amounts | {"taken": 0, "applied": 50_000} == (
        wire.payment_succeeded(event).amounts
    )


def test_a_receipt_says_what_the_gateway_took_not_what_the_payment_is_over(events: Events) -> None:
    received = wire.payment_received(events.received(amount=60_000))
    assert (received.key, received.gateway, received.amounts) == ("payment.received", "cashfree", {"received": 60_000})
    refunded = wire.payment_receipt_refunded(events.receipt_refunded(amount=10_000))
    assert (refunded.key, refunded.amounts) == ("payment.receipt.refunded", {"refunded": 10_000})
    assert wire.payment_received(events.received(amount=1, currency="USD")).currency == "USD"


def test_a_refund_says_what_was_deferred_what_was_earned_and_who_asked(events: Events) -> None:
    paid = events.paid()
    refunded = events.refunded(paid, held=38_136)
    booked = wire.payment_refunded(refunded)
    assert booked.amounts == {
        "refunded": 50_000, "held": 38_136, "earned": 4_237, "absorbed": 0, "cgst": 3_814, "sgst": 3_813, "igst": 0,
    }  # fmt: skip
    assert (booked.actor_id, booked.reference_prefix) == ("usr_2", "rfd")
    assert booked.payment_id == wire.payment_succeeded(paid).reference
    absorbed = wire.payment_refunded(events.refunded(paid, held=38_136, policy=SPENT_CREDITS_POLICY_ABSORB))
    assert (absorbed.amounts["earned"], absorbed.amounts["absorbed"]) == (0, 4_237)
    assert wire.refund_reversed(events.refund_reversed(refunded)).amounts == booked.amounts


def test_a_dispute_is_about_its_own_amount(events: Events) -> None:
    disputed = events.disputed(events.paid(), held=42_000, fee=1_500)
    assert wire.payment_disputed(disputed).amounts == {"disputed": 50_000}
    lost = wire.payment_dispute_lost(events.dispute_lost(disputed))
    assert (lost.amounts["held"], lost.amounts["earned"], lost.amounts["fee"]) == (42_000, 373, 1_500)
    assert wire.payment_dispute_won(events.dispute_won(disputed)).reference == lost.reference


def test_a_settlement_is_about_what_changed(events: Events) -> None:
    booked = wire.settlement_imported(events.settled(gross=-100, fee=0, fee_tax=0))
    assert (booked.amounts["gross"], booked.amounts["net"], booked.reference_prefix) == (-100, -100, "stl")


def test_who_acted_is_the_service_unless_a_person_is_named(events: Events) -> None:
    assert wire.payment_succeeded(events.paid()).actor_id == "service:payment"
    assert wire.wallet_debt_settled(events.debt_settled(forgiven=5)).actor_id == "service:wallet"
    forgiven = events.debt_settled(forgiven=5, actor_id="operator:mira")
    assert wire.wallet_debt_settled(forgiven).actor_id == "operator:mira"


def test_a_grant_goes_back_to_its_payment(events: Events) -> None:
    paid = events.paid()
    credited = wire.wallet_credited(events.credited(payment_id=paid.payment.payment_id))
    assert credited.payment_id == wire.payment_succeeded(paid).reference
    assert wire.wallet_credited(events.credited()).payment_id is None


@pytest.mark.parametrize("micros", [-1, 2**62, 4_102_444_800_000_000])
def test_a_time_that_no_book_can_hold_is_refused_where_it_is_read(events: Events, micros: int) -> None:
    """One such event would fail the whole batch at the database."""
    refunded, disputed = events.refunded(events.paid()), events.disputed(events.paid())
    decoders: dict[Callable[[Any], object], Any] = {
        wire.payment_refunded: refunded,
        wire.refund_reversed: events.refund_reversed(refunded),
        wire.payment_disputed: disputed,
        wire.payment_dispute_won: events.dispute_won(disputed),
        wire.payment_dispute_lost: events.dispute_lost(disputed),
        wire.settlement_imported: events.settled(),
        wire.wallet_locked: events.locked(),
        wire.wallet_released: events.released(),
        wire.wallet_reversed: events.reversed(),
        wire.wallet_debt_settled: events.debt_settled(forgiven=1),
        wire.payment_succeeded: events.paid(),
        wire.payment_received: events.received(),
        wire.payment_receipt_refunded: events.receipt_refunded(),
        wire.wallet_credited: events.credited(),
        wire.wallet_debited: events.debited(),
        audit.audit_recorded: events.audited(),
    }
    for decode, event in decoders.items():
        event.time_unix_micros = micros
        with pytest.raises(TimeOutOfRange):
            decode(event)


def test_parts_in_another_currency_are_refused(events: Events) -> None:
    event = events.paid()
    event.payment.tax.cgst.currency = "USD"
    with pytest.raises(wire.CurrencyMixed):
        wire.payment_succeeded(event)


def test_a_part_of_nothing_needs_no_currency(events: Events) -> None:
    event = events.paid()
    event.payment.tax.igst.Clear()
    assert wire.payment_succeeded(event).amounts["igst"] == 0


def test_an_id_that_is_none_is_refused(events: Events) -> None:
    event = events.paid()
    event.event_id = "evt_nonsense"
    with pytest.raises(IdInvalid):
        wire.payment_succeeded(event)


@pytest.mark.parametrize(
    "fields",
    [
        {"before_json": "{"},
        {"after_json": '{"a": "\\u0000"}'},
        {"after_json": "[" * 5_000},
        {"action": "a\0b"},
        {"after_json": '{"a": 1e999999}'},
    ],
)
def test_an_audit_that_cannot_be_kept_is_refused(events: Events, fields: dict[str, str]) -> None:
    with pytest.raises(audit.AuditMalformed):
        audit.audit_recorded(events.audited(**fields))


def test_an_absent_state_is_none(events: Events) -> None:
    record = audit.audit_recorded(events.audited(before_json=""))
    assert record.before_state is None
    assert record.after_state == '{"status":"CREATED"}'


@pytest.mark.parametrize("text", ["", "pay", "usr_01", "rfd_", "pay_" + "0" * 25, "wal_" + "0" * 26])
def test_only_ids_of_payments_and_wallet_transactions_name_journals(text: str) -> None:
    with pytest.raises(IdInvalid):
        messages.journal_reference(text)
