"""Every user of the contract against every exchange and key, on the real broker: what it may write and nothing else."""

import re
from collections.abc import Sequence

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from common.testing import BrokerUrlOf
from common.topology import CONTRACT, REQUEUE, may_publish, retry_queues, rights, users

# One of each event's keys, the name of every queue and of its dead letters, and what nobody may write.
KEYS = sorted(
    {event.key.replace("{gateway}", "cashfree") for event in CONTRACT.events.values()}
    | {name for queue in CONTRACT.queues for name in (queue.name, queue.dead_letters)}
    | {
        "webhook.a.b.received",
        "payment.success.x",
        "xpayment.success",
        "Payment.success",
        "wallet.credit.dlq2",
        "#",
        "",
    }
)


async def _allowed(url: str, user: str, cases: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of *cases* that the broker takes. One that it refuses closes its channel."""
    taken = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for exchange, key in cases:
            target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            try:
                await target.publish(aio_pika.Message(b"", user_id=user), key, mandatory=False)
            except ChannelAccessRefused:
                channel = await connection.channel()
            else:
                taken.append((exchange, key))
    return taken


@pytest.mark.timeout(300)
@pytest.mark.parametrize("user", users())
async def test_a_user_writes_its_own_keys_and_no_others(
    broker_url_of: BrokerUrlOf, broker_admin_url: str, retry_schedule_ms: Sequence[int], user: str
) -> None:
    tiers = [retry_queues(retry_schedule_ms[0])[0], retry_queues(retry_schedule_ms[-1])[-1]]
    written = re.compile(rights(user, tiers)["write"])
    cases = [
        (exchange, key)
        for exchange in (*CONTRACT.exchanges, REQUEUE, *tiers, "")
        # Where a user may not write at all the key is not looked at.
        for key in (KEYS if written.fullmatch(exchange) else KEYS[::20])
    ]
    assert await _allowed(broker_url_of(user), user, cases) == [case for case in cases if may_publish(user, *case)]


async def test_nobody_publishes_under_another_name(broker_url_of: BrokerUrlOf) -> None:
    for user in users():
        event = next(event for event in CONTRACT.events.values() if event.is_announced_by(user))
        key = event.key.replace("{gateway}", "cashfree")
        async with await aio_pika.connect(broker_url_of(user)) as connection:
            for other in {*users(), "migrator", "administrator"} - {user}:
                channel = await connection.channel()
                exchange = await channel.get_exchange(event.exchange, ensure=False)
                with pytest.raises(ChannelPreconditionFailed):
                    await exchange.publish(aio_pika.Message(b"", user_id=other), key, mandatory=False)


async def test_nobody_reads_declares_binds_or_deletes_what_is_not_its_own(
    broker_url_of: BrokerUrlOf, retry_schedule_ms: Sequence[int]
) -> None:
    tier = retry_queues(retry_schedule_ms[0])[0]
    for user in users():
        foreign = next(queue for queue in CONTRACT.queues if queue.owner != user)
        async with await aio_pika.connect(broker_url_of(user)) as connection:

            async def refused(act: str, connection: AbstractConnection = connection, name: str = foreign.name) -> None:
                channel = await connection.channel()
                queue = await channel.get_queue(tier if act == "read tier" else name, ensure=False)
                with pytest.raises(ChannelAccessRefused):
                    if act in ("read", "read tier"):
                        await queue.get(fail=False)
                    elif act == "purge":
                        await queue.purge()
                    elif act == "delete":
                        await channel.queue_delete(name)
                    elif act == "declare":
                        await channel.declare_queue(f"{name}.more", durable=True)
                    elif act == "exchange":
                        await channel.declare_exchange("more.exchange")
                    elif act == "bind":
                        await queue.bind("payment.exchange", "#")

            for act in ("read", "read tier", "purge", "delete", "declare", "exchange", "bind"):
                await refused(act)
