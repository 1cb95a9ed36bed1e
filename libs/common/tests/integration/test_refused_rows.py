"""A row for which the broker closes the channel: it is parked with an alarm, and all good rows beside it get out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import aio_pika
import pytest

from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from commdesk.wallet.v1.events_pb2 import WalletCredited
from commdesk.webhook_ingest.v1.events_pb2 import WebhookProcessed
from common import envelopes, ids, outbox
from common.broker import BrokerConnection, Publisher
from common.database import Database
from common.outbox import NotAllowed, Outgoing
from common.relay import Relay
from common.testing import published, until
from common.topology import REQUEUE

TYPE = PaymentSyncRequested.DESCRIPTOR.full_name


def row(exchange: str = "payment.exchange", key: str = "payment.sync.requested") -> Outgoing:
    envelope_id, body = envelopes.seal("payment", TYPE, [b""])
    return Outgoing(envelope_id, exchange, key, True, TYPE, body)


@asynccontextmanager
async def publisher(url: str, user: str = "payment") -> AsyncIterator[Publisher]:
    async with BrokerConnection(url, "test:publish") as connection:
        yield Publisher(connection, user_id=user)


BAD = {
    "403 by its key": ("payment.exchange", "wallet.credited"),
    "403 by its exchange": ("wallet.exchange", "wallet.credited"),
    "403 by the default exchange": ("", "payment.processing"),
    "403 by another's queue": (REQUEUE, "wallet.credit"),
    "404": ("retry.1ms", "payment.processing"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("bad_count", [1, 7])
async def test_one_bad_row_takes_no_good_one_along(broker_url: str, kind: str, bad_count: int) -> None:
    bad = [row(*BAD[kind]) for _ in range(bad_count)]
    good = [row() for _ in range(100 - bad_count)]
    mixed = [*good[:40], *bad, *good[40:]]
    async with publisher(broker_url) as publishing:
        receipt = await publishing.publish(mixed)
        assert set(receipt.confirmed) == {each.envelope_id for each in good}
        assert {envelope_id for envelope_id, _ in receipt.refused} == {each.envelope_id for each in bad}
        again = row()
        assert (await publishing.publish([again])).confirmed == [again.envelope_id]


async def test_a_name_that_is_not_ours_is_refused(broker_url: str) -> None:
    async with publisher(broker_url, "wallet") as publishing:
        receipt = await publishing.publish([row(), row()])
    assert receipt.confirmed == []
    assert len(receipt.refused) == 2
    assert all("user_id" in answer for _, answer in receipt.refused)


async def _insert(db: Database, *rows: Outgoing) -> None:
    """Past `append`, which would refuse them: as a release with other rights, or a bug, left them."""
    async with db.begin() as tx:
        for each in rows:
            await tx.execute(
                "insert into outbox (envelope_id, exchange, routing_key, mandatory, type, body)"
                " values (:id, :exchange, :key, true, :type, :body)",
                id=each.envelope_id,
                exchange=each.exchange,
                key=each.routing_key,
                type=each.type,
                body=each.body,
            )


def _old(number: int, exchange: str = "payment.exchange", key: str = "payment.sync.requested") -> Outgoing:
    """A row that the sweeper looks for."""
    earlier = UUID(int=ids.new().int - (60_000 << 80) + number)
    return Outgoing(earlier, exchange, key, True, TYPE, row().body)


async def _rows(db: Database, where: str) -> list[Any]:
    async with db.begin() as tx:
        return list(await tx.execute(f"select envelope_id, refused, leased_until from outbox where {where}"))


async def test_the_sweeper_parks_what_is_refused_alerts_once_and_sends_it_when_it_may(
    db: Database, broker_url: str, broker_admin_url: str
) -> None:
    good, bad = [_old(number) for number in range(20)], _old(50, "retry.1ms", "payment.processing")
    await _insert(db, *good, bad)
    async with publisher(broker_url) as publishing:
        relay = Relay(db, publishing)
        await relay.sweep()
        [parked] = await _rows(db, "published_at is null and exchange <> 'email.exchange'")
        assert parked.envelope_id == bad.envelope_id
        assert "retry.1ms" in parked.refused
        for _ in range(2):
            # Its rest is over, and it is refused again: alone, and without another alert.
            async with db.begin() as tx:
                await tx.execute("update outbox set leased_until = null where refused is not null")
            await relay.sweep()
        alerts = await published(db, "email.admin.alert")
        assert [alert.cause for _, alert in alerts] == ["publish_refused"]  # type: ignore[attr-defined]
        # A repair of the rights or the contract need not release it.
        async with db.begin() as tx:
            await tx.execute(
                "update outbox set leased_until = null, exchange = 'payment.exchange',"
                " routing_key = 'payment.sync.requested' where refused is not null"
            )
        await relay.sweep()
        assert await _rows(db, "published_at is null and exchange <> 'email.exchange'") == []


async def test_right_after_its_commit_it_is_parked_as_well(db: Database, broker_url: str) -> None:
    bad = row("payment.exchange", "wallet.credited")
    await _insert(db, bad)
    async with publisher(broker_url) as publishing:
        relay = Relay(db, publishing)
        relay.announce([bad, row()])
        await relay.drain()

        async def parked() -> bool:
            return len(await _rows(db, "refused is not null")) == 1

        await until(parked)


async def test_an_alert_counts_the_rows_that_are_refused_for_the_first_time(db: Database, broker_url: str) -> None:
    first, second = (row("payment.exchange", "wallet.credited") for _ in range(2))
    await _insert(db, first, second)
    async with publisher(broker_url) as publishing:
        relay = Relay(db, publishing)
        for rows in ([first], [first, second]):
            relay.announce(rows)
            await relay.drain()
    alerts = [alert.summary for _, alert in await published(db, "email.admin.alert")]  # type: ignore[attr-defined]
    assert [" for 1 announcements" in summary for summary in alerts] == [True, True]


async def test_an_old_row_of_the_default_exchange_goes_by_the_requeue_exchange(
    db: Database, broker_url: str, broker_admin_url: str
) -> None:
    await _insert(db, _old(1, "", "payment.processing"))
    async with publisher(broker_url) as publishing:
        await Relay(db, publishing).sweep()
    async with await aio_pika.connect(broker_admin_url) as connection:
        queue = await (await connection.channel()).get_queue("payment.processing", ensure=False)
        message = await queue.get()
    assert message is not None
    assert (message.exchange, message.user_id) == (REQUEUE, "payment")


async def test_nothing_is_committed_that_the_contract_does_not_allow(db: Database) -> None:
    async with db.begin() as tx:
        with pytest.raises(NotAllowed, match="does not announce"):
            await outbox.append(tx, [WalletCredited()])
        for exchange, key in [where for kind, where in BAD.items() if kind != "404"]:
            with pytest.raises(NotAllowed):
                await outbox.append_rows(tx, [row(exchange, key)])
        for gateway in ("", "cash.free", "cashfree.received.x"):
            with pytest.raises(NotAllowed):
                await outbox.append(tx, [WebhookProcessed(gateway=gateway)])
        await outbox.append(tx, [WebhookProcessed(gateway="cashfree")])
    assert len(await _rows(db, "true")) == 1
