"""Nothing that comes in ends in a bug: see common.testing.hostile."""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import ids
from common.testing import Served, delivery, hostile
from common.testing.hostile_tests import *  # noqa: F403

from .world import World

ZERO_TIMES = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:30", "9999-12-31T23:59:59-05:30", "1970-01-01T00:00:00Z"]


@pytest.fixture
def served(world: World) -> Served:
    return world.served


def changed(body: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(body)
    change(document["data"])
    return json.dumps(document).encode()


def at(text: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["payment"]["payment_time"] = data["payment"]["payment_completion_time"] = text

    return change


@pytest.mark.parametrize("text", ZERO_TIMES)
async def test_a_payment_with_a_zero_time_is_paid_now(world: World, text: str) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(changed(world.hooks[0], at(text)))
    payment = (await world.get(f"/{data['paymentId']}")).json()["data"]
    assert payment["status"] == "SUCCESS"
    assert payment["paidAt"][:4] == str(world.clock.now().year)
    events = await world.announced("payment.success")
    await world.handle("invoice.generate", events)
    assert len(await world.announced("email.payment.success")) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["payment"].update(payment_amount=-500),
        lambda data: data["payment"].update(payment_amount=1e300),
        lambda data: data["payment"].update(cf_payment_id="cf\0"),
        lambda data: data["payment"].update(cf_payment_id="x" * 500),
        lambda data: data["order"].update(order_amount="NaN"),
        lambda data: data.update(payment=[[[[]]]]),
    ],
    ids=range(6),
)
async def test_a_hostile_webhook_fails_by_name_alone(world: World, change: Callable[[dict[str, Any]], None]) -> None:
    """It is reported as unreadable, once, whatever else is in its batch; the sweep still finds the money."""
    data, other = await world.created(), await world.created()
    await world.pay(data["orderId"])
    await world.pay(other["orderId"])
    hostile_body = changed(world.hooks[0], change)
    await world.deliver(hostile_body, world.hooks[1])
    assert await world.status(other) == "SUCCESS"
    assert await world.keep_dead_letters() == 1
    [failed] = await world.announced("webhook.cashfree.failed")
    assert failed.reason == "webhook_unreadable"
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "dead_letter"
    world.clock.advance(120)
    await world.sweep()
    assert await world.status(data) == "SUCCESS"


@hostile.examples
@given(st.data())
async def test_whatever_body_is_delivered_ends_somewhere(world: World, data: st.DataObject) -> None:
    genuine = {
        "data": {
            "order": {"order_id": "ord_1", "order_amount": 500.0, "order_currency": "INR"},
            "payment": {
                "cf_payment_id": "1",
                "payment_status": "SUCCESS",
                "payment_amount": 500.0,
                "payment_currency": "INR",
                "payment_time": "2026-04-01T15:30:00+05:30",
            },
        },
        "type": "PAYMENT_SUCCESS_WEBHOOK",
    }
    body = data.draw(hostile.mutated(genuine).map(hostile.encode) | hostile.bodies)
    await world.deliver(body, b'{"type":"WEBHOOK","data":{}}')
    assert await world.rows("select 1 from outbox where headers ->> 'error-code' = 'handler_failed'") == []


async def test_a_webhook_on_which_the_handler_raises_is_reported_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever bug it was: the service that tracks the webhook hears of the retry and of the end."""

    async def bug(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("payment.use_cases.webhooks.apply_orders", bug)
    data = await world.created()
    await world.pay(data["orderId"])
    event = world.webhook(world.hooks[0])
    await world.handle("webhook.processing", [event])
    [processing] = await world.announced("webhook.cashfree.processing")
    assert (processing.webhook_id, processing.reason) == (event.event_id, "handler_failed")
    await world.handle("webhook.processing", [event], attempt=4)
    assert await world.keep_dead_letters() == 1
    [dead] = await world.announced("webhook.cashfree.deadletter")
    assert (dead.webhook_id, dead.reason) == (event.event_id, "handler_failed")
    [alert] = await world.announced("email.admin.alert")
    assert alert.cause == "dead_letter"


async def test_a_webhook_that_cannot_be_decoded_is_reported_too(world: World) -> None:
    event = WebhookReceived(
        event_id=ids.encode("evt", ids.new()), time_unix_micros=2**62, gateway="cashfree", body=b"{}"
    )
    good = world.webhook(b'{"type":"WEBHOOK","data":{}}')
    await world.served.deliver("webhook.processing", [delivery([event, good])])
    assert len(await world.announced("webhook.cashfree.processed")) == 1
    await world.keep_dead_letters()
    [dead] = await world.announced("webhook.cashfree.deadletter")
    assert (dead.webhook_id, dead.reason) == (event.event_id, "time_out_of_range")


async def test_rows_that_were_poisoned_are_repaired(world: World, owner_url: str) -> None:
    """What the migration does to a payment whose time of payment nobody could read, on a table as it was before."""
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    bounds: Mapping[str, str] = vars(import_module("payment.migrations.0006_bounds"))
    connection = await asyncpg.connect(owner_url)
    try:
        rows = await connection.fetch(
            "select conrelid::regclass as name, conname from pg_constraint where contype = 'c'"
            " and pg_get_constraintdef(oid) ~ '2000-01-01'"
        )
        for row in rows:
            await connection.execute(f'alter table {row["name"]} drop constraint "{row["conname"]}"')
        await connection.execute("update payments set paid_at = '-infinity'")
        await connection.execute("update transactions set created_at = '-infinity', confirmed_at = '-infinity'")
        await connection.execute(bounds["TIMES"])
    finally:
        await connection.close()
    payment = (await world.get(f"/{data['paymentId']}")).json()["data"]
    assert payment["paidAt"][:4] == str(world.clock.now().year)
    await world.handle("invoice.generate", await world.announced("payment.success"))
    assert len(await world.announced("email.payment.success")) == 1
