"""Invoices: one for each success, numbered without gaps, mailed when there is somewhere to mail to."""

import asyncio
from typing import Any

from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.payment.v1.payment_pb2 import Payment
from common import ids
from payment.domain.invoices import series

from .world import World


async def succeeded(world: World, number: int, **body: Any) -> list[PaymentSucceeded]:
    for _ in range(number):
        await world.pay((await world.created(**body))["orderId"])
    await world.deliver(*world.hooks)
    events: list[PaymentSucceeded] = await world.announced("payment.success")
    return events


async def test_numbers_have_no_gaps_whatever_comes_twice_or_at_once(world: World) -> None:
    events = await succeeded(world, 6)
    assert len(events) == 6
    await asyncio.gather(
        world.handle("invoice.generate", events[:4]),
        world.handle("invoice.generate", events[2:]),
        world.handle("invoice.generate", [events[0], events[0], events[5]]),
    )
    await world.handle("invoice.generate", events)
    rows = await world.rows("select number, invoice_number, payment_id from invoices order by number")
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(row.invoice_number.startswith("CD2") for row in rows)
    assert len({row.payment_id for row in rows}) == 6
    mails = await world.announced("email.payment.success")
    assert sorted(mail.invoice_number for mail in mails) == [row.invoice_number for row in rows]
    [row] = await world.rows("select last_number from invoice_series")
    assert row.last_number == 6


async def test_the_mail_carries_all_that_it_must_say(world: World) -> None:
    [event] = await succeeded(world, 1, customerEmail="ravi@example.in", customerName="Ravi")
    await world.handle("invoice.generate", [event])
    [mail] = await world.announced("email.payment.success")
    assert world.recipient(mail) == ("ravi@example.in", "Ravi")
    assert (mail.payment_id, mail.transaction_id) == (event.payment.payment_id, event.transaction_id)
    assert (mail.amount.minor, mail.tax.cgst.minor, mail.credits_paid, mail.credits_bonus) == (
        50_000,
        3_813,
        5_000,
        500,
    )
    assert mail.invoice_number.endswith("/000001")
    assert mail.invoice_id.startswith("inv_")
    assert mail.method == "upi"
    assert mail.paid_unix_micros > 0


async def test_without_an_address_there_is_an_invoice_and_no_mail(world: World) -> None:
    [event] = await succeeded(world, 1, customerEmail="")
    await world.handle("invoice.generate", [event])
    assert await world.announced("email.payment.success") == []
    assert len(await world.rows("select 1 from invoices")) == 1
    audits = {audit.action: audit.after_json for audit in await world.announced("audit.recorded")}
    assert '"mailed":false' in audits["invoice.issue"]


async def test_a_success_of_an_unknown_payment_waits_and_takes_no_number(world: World) -> None:
    [event] = await succeeded(world, 1)
    stranger = PaymentSucceeded(payment=Payment(payment_id=ids.encode("pay", ids.new()), merchant_id="mer_commdesk"))
    await world.handle("invoice.generate", [stranger, event])
    [row] = await world.rows("select number from invoices")
    assert row.number == 1
    assert len(await world.rows("select 1 from outbox where exchange like 'retry.%'")) == 1


async def test_a_series_without_a_number_left_refuses_its_own_payments_and_no_others(world: World) -> None:
    mine, other = await succeeded(world, 2)
    async with world.db.begin() as tx:
        await tx.execute(
            "update payments set merchant_id = 'mer_other' where id = :id",
            id=ids.decode("pay", other.payment.payment_id),
        )
        await tx.execute(
            "insert into invoice_series (merchant_id, series, last_number) values ('mer_commdesk', :series, 999999999)",
            series=series("CD", world.clock.now()),
        )
    other.payment.merchant_id = "mer_other"
    await world.handle("invoice.generate", [mine, other])
    [invoice] = await world.rows("select merchant_id, number from invoices")
    assert tuple(invoice) == ("mer_other", 1)
    assert len(await world.rows("select 1 from outbox where exchange like 'retry.%'")) == 1
