"""Queue consumers: envelopes in, wallets moved, refusals on their way."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from commdesk.common.v1 import common_pb2
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.payment.v1 import payment_pb2
from commdesk.wallet.v1 import events_pb2, wallet_pb2
from common import ids
from common.clock import FakeClock
from common.database import Database
from common.envelopes import ERROR_CODE
from common.events import micros
from common.testing import Served, delivery, published
from common.topology import REQUEUE, retry_queues
from wallet.store import queries

from .. import builders as make
from ..oracle import violations

Arrives = Callable[..., Awaitable[None]]


def paid(payment_id: str | None = None, credits: tuple[int, int] = (5000, 500), net: int = 42_373) -> Any:
    """What payment announces for the ₹500 pack."""
    tax = payment_pb2.Tax(net=common_pb2.Money(minor=net, currency="INR")) if net else None
    return payment_events.PaymentSucceeded(
        event_id=ids.encode("evt", ids.new()),
        payment=payment_pb2.Payment(
            payment_id=payment_id or ids.encode("pay", ids.new()),
            merchant_id="mer_commdesk",
            user_id="usr_asha",
            credits_paid=credits[0],
            credits_bonus=credits[1],
            tax=tax,
        ),
    )


def granted_within(seconds: str) -> float:
    return REGISTRY.get_sample_value("commdesk_wallet_grant_seconds_bucket", {"le": seconds}) or 0.0


async def test_the_time_from_the_success_to_the_credits_is_measured(arrives: Arrives, clock: FakeClock) -> None:
    quick, late = granted_within("30.0"), granted_within("300.0")
    prompt, delayed = paid(), paid()
    prompt.time_unix_micros = micros(clock.now()) - 1_000_000
    delayed.time_unix_micros = micros(clock.now()) - 90_000_000
    await arrives("wallet.credit", [prompt, delayed])
    assert (granted_within("30.0"), granted_within("300.0")) == (quick + 1, late + 2)


def requested(credits: int, key: str, **changes: str) -> Any:
    return events_pb2.WalletConsumeRequested(
        event_id=ids.encode("evt", ids.new()),
        consumption=wallet_pb2.Consumption(
            operation_key=key,
            owner=wallet_pb2.Owner(merchant_id="mer_commdesk", kind=changes.get("kind", "USER"), id="usr_asha"),
            credits=credits,
            purpose="boost",
            source_id="post-1",
        ),
    )


@pytest.fixture
def arrives(wallet: Served) -> Arrives:
    """Each list of events arrives as one envelope, all of them as one batch."""

    async def arrive(queue: str, *lists: list[Any]) -> None:
        await wallet.deliver(queue, [delivery(events) for events in lists])

    return arrive


async def balance(db: Database) -> int | None:
    async with db.begin() as tx:
        wallet = (await queries.wallets_of(tx, [make.owner()])).get(make.owner())
    return wallet.available if wallet else None


async def hops(db: Database) -> list[tuple[str, str, str]]:
    """(exchange, routing key, error code) of what is on its way to a retry tier or to the dead letters."""
    async with db.begin() as tx:
        rows = await tx.execute("select exchange, routing_key, headers from outbox where headers is not null")
        return sorted((row.exchange, row.routing_key, dict(row.headers)[ERROR_CODE]) for row in rows)


async def test_a_payment_is_granted_once_however_often_it_is_announced(arrives: Arrives, db: Database) -> None:
    event = paid()
    await arrives("wallet.credit", [event, event], [event])
    await arrives("wallet.credit", [event])
    assert await balance(db) == 5500
    assert len(await published(db, "wallet.credited")) == 1
    assert await hops(db) == []
    assert not await violations(db)


async def test_a_payment_without_credits_is_worked_and_has_no_effect(arrives: Arrives, db: Database) -> None:
    await arrives("wallet.credit", [paid(credits=(0, 0), net=0)])
    assert await balance(db) is None
    assert await published(db) == []


async def test_what_can_never_be_granted_is_a_dead_letter_and_holds_nobody_up(arrives: Arrives, db: Database) -> None:
    await arrives("wallet.credit", [paid("pay_nonsense"), paid(net=0), paid(), paid(credits=(-5, 10))])
    assert await balance(db) == 5500
    assert await hops(db) == [
        (REQUEUE, "wallet.credit.dlq", "currency_unknown"),
        (REQUEUE, "wallet.credit.dlq", "grant_invalid"),
        (REQUEUE, "wallet.credit.dlq", "id_invalid"),
    ]


async def test_a_requested_consumption_is_checked_and_debited(arrives: Arrives, db: Database) -> None:
    await arrives("wallet.credit", [paid()])
    await arrives("wallet.debit", [requested(550, "a"), requested(550, "a")], [requested(50, "b")])
    assert await balance(db) == 4900
    assert [event.seq for _, event in await published(db, "wallet.debited")] == [2, 3]
    assert not await violations(db)


async def test_a_consumption_that_comes_before_its_credits_is_retried_on_the_schedule(
    arrives: Arrives, db: Database
) -> None:
    early = requested(550, "a")
    await arrives("wallet.debit", [early])
    [(exchange, queue, code)] = await hops(db)
    assert exchange in retry_queues(100)
    assert (queue, code) == ("wallet.debit", "wallet_insufficient_credits")
    await arrives("wallet.credit", [paid()])
    await arrives("wallet.debit", [early])
    assert await balance(db) == 4950


async def test_a_payment_in_another_currency_than_the_wallets_goes_to_the_dead_letters(
    arrives: Arrives, db: Database
) -> None:
    dollars = paid()
    dollars.payment.tax.net.currency = "USD"
    await arrives("wallet.credit", [paid()], [dollars])
    assert await balance(db) == 5500
    assert await hops(db) == [(REQUEUE, "wallet.credit.dlq", "wallet_currency_mismatch")]


async def test_what_waiting_cannot_heal_goes_to_the_dead_letters(arrives: Arrives, db: Database) -> None:
    await arrives("wallet.credit", [paid()])
    await arrives(
        "wallet.debit", [requested(5, "a"), requested(6, "a"), requested(0, "b"), requested(5, "c", kind="ROBOT")]
    )
    assert await balance(db) == 5495
    assert await hops(db) == [
        (REQUEUE, "wallet.debit.dlq", "consumption_invalid"),
        (REQUEUE, "wallet.debit.dlq", "consumption_invalid"),
        (REQUEUE, "wallet.debit.dlq", "operation_key_reused"),
    ]
