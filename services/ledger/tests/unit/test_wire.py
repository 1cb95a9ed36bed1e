"""Events as they come off the wire."""

import pytest

from common import ids
from common.ids import IdInvalid
from common.times import TimeOutOfRange
from ledger.wire import events as wire
from ledger.wire import messages

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


def test_a_grant_goes_back_to_its_payment(events: Events) -> None:
    paid = events.paid()
    credited = wire.wallet_credited(events.credited(payment_id=paid.payment.payment_id))
    assert credited.payment_id == wire.payment_succeeded(paid).reference
    assert wire.wallet_credited(events.credited()).payment_id is None


@pytest.mark.parametrize("micros", [-1, 2**62, 4_102_444_800_000_000])
def test_a_time_that_no_book_can_hold_is_refused_where_it_is_read(events: Events, micros: int) -> None:
    """One such event would fail the whole batch at the database."""
    decoders = {
        wire.payment_succeeded: events.paid(),
        wire.payment_received: events.received(),
        wire.payment_receipt_refunded: events.receipt_refunded(),
        wire.wallet_credited: events.credited(),
        wire.wallet_debited: events.debited(),
        wire.audit_recorded: events.audited(),
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
    with pytest.raises(wire.AuditMalformed):
        wire.audit_recorded(events.audited(**fields))


def test_an_absent_state_is_none(events: Events) -> None:
    record = wire.audit_recorded(events.audited(before_json=""))
    assert record.before_state is None
    assert record.after_state == '{"status":"CREATED"}'


@pytest.mark.parametrize("text", ["", "pay", "usr_01", "pay_" + "0" * 25, "wal_" + "0" * 26])
def test_only_ids_of_payments_and_wallet_transactions_name_journals(text: str) -> None:
    with pytest.raises(IdInvalid):
        messages.journal_reference(text)
