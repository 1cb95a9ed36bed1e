"""What comes off the wire, and what goes onto it."""

from datetime import datetime
from typing import Any

import pytest

from commdesk.common.v1 import common_pb2
from commdesk.payment.v1 import events_pb2, payment_pb2
from common import ids
from common.ids import IdInvalid
from common.money import CurrencyUnknown, Money
from wallet.domain.batch import WalletBatch, apply
from wallet.domain.wallets import Owner
from wallet.wire import events

from .. import builders as make

NET = payment_pb2.Tax(net=common_pb2.Money(minor=42_373, currency="INR"))


def succeeded(**fields: Any) -> events_pb2.PaymentSucceeded:
    of_the_pack = {
        "payment_id": ids.encode("pay", ids.new()),
        "merchant_id": "mer_commdesk",
        "user_id": "usr_asha",
        "credits_paid": 5000,
        "credits_bonus": 500,
        "tax": NET,
    }
    return events_pb2.PaymentSucceeded(payment=payment_pb2.Payment(**(of_the_pack | fields)))


def test_a_payment_grants_to_its_user_unless_it_names_an_owner() -> None:
    assert events.payment_succeeded(succeeded()).owner == Owner("mer_commdesk", "USER", "usr_asha")
    community = succeeded(owner_kind="COMMUNITY", owner_id="com_chess")
    assert events.payment_succeeded(community).owner == Owner("mer_commdesk", "COMMUNITY", "com_chess")


def test_the_worth_of_the_credits_is_the_net_price() -> None:
    grant = events.payment_succeeded(succeeded())
    assert grant.value == Money(42_373, "INR")
    assert grant.operation_key == f"grant:{grant.source_id}"


def test_credits_without_a_net_price_cannot_be_granted_but_no_credits_can_be_ignored() -> None:
    with pytest.raises(CurrencyUnknown):
        events.payment_succeeded(succeeded(tax=None))
    assert events.payment_succeeded(succeeded(tax=None, credits_paid=0, credits_bonus=0)).value == Money(0)


def test_a_payment_id_is_one_of_ours() -> None:
    with pytest.raises(IdInvalid):
        events.payment_succeeded(succeeded(payment_id="ord_123"))


def test_events_come_in_order_and_carry_their_transactions_id(now: datetime) -> None:
    batch = WalletBatch({make.owner(): make.wallet()}, {})
    apply(batch, [make.grant(), make.consumption(550), make.consumption(1)], now, make.new_id)
    credited, *debited = events.announcements(batch)
    assert [event.seq for event in (credited, *debited)] == [1, 2, 3]
    assert {event.event_id[4:] == event.transaction_id[4:] for event in (credited, *debited)} == {True}
    assert [(event.credits_paid, event.credits_bonus) for event in debited] == [(50, 500), (1, 0)]
