"""One order id at a gateway account is one payment's: accounts, merchants and strangers do not cross."""

from typing import Any

import msgspec
import pytest

from common import ids
from common.settings import read as read_settings
from gateways import GatewayAccount
from payment.domain.payments import Payment
from payment.domain.purchases import initial_transition
from payment.domain.states import Status
from payment.settings import Settings
from payment.store import commands

from ..builders import Builders
from .world import ACCOUNT, World

OTHER_ACCOUNT = "gwa_other"


class TwoAccounts(Settings):
    """A second account, at the same sandbox."""

    @property
    def gateway_accounts(self) -> tuple[GatewayAccount, ...]:
        [first] = super().gateway_accounts
        return (first, msgspec.structs.replace(first, id=OTHER_ACCOUNT))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return read_settings(TwoAccounts)


async def stored(world: World, **fields: Any) -> Payment:
    """A payment whose create request has not got its answer yet."""
    now = world.clock.now()
    usual = {"id": ids.new(), "created_at": now, "updated_at": now, "next_check_at": now}
    payment = Builders.payment(Status.CREATED, **usual | fields)
    payment = msgspec.structs.replace(payment, expires_at=now.replace(year=now.year + 1))
    async with world.db.begin() as tx:
        await commands.insert_payments(tx, [payment])
        await commands.add_history(tx, [initial_transition(payment)])
    return payment


async def statuses(world: World) -> dict[str, str]:
    """The status of each payment by merchant."""
    return {row.merchant_id: row.status for row in await world.rows("select merchant_id, status from payments")}


async def test_two_accounts_with_the_same_order_id_do_not_cross(world: World) -> None:
    data = await world.created(orderId="shop-1")
    await stored(world, merchant_id="mer_b", order_id="shop-1", gateway_account_id=OTHER_ACCOUNT)
    await world.pay("shop-1")
    # The webhook of the other account finds the other payment, whose order at the gateway carries another tag.
    await world.deliver(*world.hooks, account=OTHER_ACCOUNT)
    assert await statuses(world) == {"mer_commdesk": "PENDING", "mer_b": "CREATED"}
    [waiting] = await world.announced("webhook.cashfree.processing")
    assert waiting.reason == "order_tag_mismatch"
    await world.deliver(*world.hooks)
    assert await statuses(world) == {"mer_commdesk": "SUCCESS", "mer_b": "CREATED"}
    world.clock.advance(120)
    assert await world.sweep() == 1
    assert await statuses(world) == {"mer_commdesk": "SUCCESS", "mer_b": "CREATED"}
    [event] = await world.announced("payment.success")
    assert event.payment.payment_id == data["paymentId"]
    # What is recorded of the calls tells the accounts apart.
    await world.write_gateway_calls()
    calls = await world.rows("select distinct gateway, gateway_account_id from gateway_calls order by 2")
    assert [tuple(row) for row in calls] == [("cashfree", ACCOUNT), ("cashfree", OTHER_ACCOUNT)]


@pytest.mark.parametrize("tag", ["pay_somebody_elses", None])
async def test_a_paid_order_of_somebody_else_pays_nothing_of_ours(world: World, tag: str | None) -> None:
    """The same account, order id and amount, while our own create request has not got its answer yet."""
    await world.foreign_order("shop-1", 500.00, tag)
    await world.pay("shop-1")
    payment = await stored(world, merchant_id="mer_b", user_id="usr_asha", order_id="shop-1")
    response = await world.verify(merchant="mer_b", orderId="shop-1")
    assert response.json()["data"]["payment"]["status"] == "CREATED"
    await world.deliver(*world.hooks)
    world.clock.advance(120)
    await world.sweep()
    assert await statuses(world) == {"mer_b": "CREATED"}
    assert await world.announced("payment.success") == []
    assert await world.rows("select 1 from transactions") == []
    async with world.db.begin() as tx:
        assert (await commands.lock_payments(tx, [payment.id]))[payment.id].gateway_order_id == ""


async def test_a_webhook_of_an_account_that_is_not_configured_goes_to_the_dead_letters(world: World) -> None:
    data = await world.created()
    await world.pay(data["orderId"])
    await world.deliver(*world.hooks, account="gwa_nobody")
    assert await world.status(data) == "PENDING"
    await world.keep_dead_letters()
    [failed] = await world.announced("webhook.cashfree.failed")
    assert failed.reason == "webhook_unreadable"


@pytest.mark.parametrize("tag", ["pay_somebody_elses", None])
async def test_an_order_made_outside_cannot_be_claimed_by_its_id(world: World, tag: str | None) -> None:
    """Paid, with the same amount: a create with its id is refused, and no look-up, webhook or verify pays it."""
    await world.foreign_order("shop-1", 500.00, tag)
    await world.pay("shop-1")
    response = await world.create(orderId="shop-1")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "gateway_refused")
    await world.deliver(*world.hooks)
    await world.verify(orderId="shop-1")
    # As if it had closed like one of ours, and were looked up on.
    async with world.db.begin() as tx:
        await tx.execute("insert into closed_checks (payment_id, due_at) select id, now() from payments")
    world.clock.advance(120)
    assert await world.run_job("closed_checks") == 1
    await world.sweep()
    assert await statuses(world) == {"mer_commdesk": "FAILED"}
    assert await world.announced("payment.success") == []
    assert await world.rows("select 1 from transactions") == []
