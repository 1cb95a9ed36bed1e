"""The whole service on a real broker: what is announced is posted, once, and can be asked for."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from commdesk.common.v1 import delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from commdesk.ledger.v1 import ledger_pb2 as pb
from commdesk.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from common import grpc_client, ids, runtime
from common.database import Database
from common.guards import Guards
from common.settings import read
from common.testing import Announce, until
from common.tokens import ServiceTokens
from ledger.__main__ import service
from ledger.settings import Settings

from ..builders import Events

TIMEOUT = 5.0


@pytest_asyncio.fixture
async def running(settings_env: dict[str, str]) -> AsyncIterator[Settings]:
    """The service, as `ledger serve` runs it."""
    settings = read(Settings)
    task = asyncio.create_task(runtime.serve("ledger", settings, service, Guards.all()))
    yield settings
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture
async def channel(running: Settings, service_keys: dict[str, str]) -> AsyncIterator[grpc.aio.Channel]:
    tokens = ServiceTokens("operator", service_keys["operator"], running.service_public_keys)
    opened = grpc_client.channel(f"127.0.0.1:{running.grpc_port}", tokens, "ledger")
    yield opened
    await opened.close(None)


async def count(db: Database, table: str) -> int:
    async with db.begin() as tx:
        return int((await tx.execute(f"select count(*) from {table}")).scalar_one())


async def test_a_payment_and_its_grant_are_posted_once_and_can_be_asked_for(
    db: Database, announce: Announce, channel: grpc.aio.Channel, events: Events
) -> None:
    paid = events.paid()
    credited, debited = events.credited(payment_id=paid.payment.payment_id), events.debited()
    await announce([paid], times=2)
    await announce([paid])
    await announce([credited])
    await announce([debited])

    async def posted() -> bool:
        return await count(db, "journals") == 4 and await count(db, "inbox") == 4

    await until(posted)
    ledger = LedgerServiceStub(channel)
    balance = await ledger.TrialBalance(pb.TrialBalanceRequest(), timeout=TIMEOUT, wait_for_ready=True)
    by_account = {row.account: (row.debit, row.credit) for row in balance.accounts}
    assert by_account["liability:deferred_credits"] == (4_237, 42_373)
    assert by_account["issued"] == (5_500, 0)
    journals = await ledger.ListJournals(
        pb.ListJournalsRequest(reference=paid.payment.payment_id, limit=10), timeout=TIMEOUT
    )
    assert [(each.template, each.asset, each.cause_id) for each in journals.journals] == [
        ("payment.success", "INR", paid.event_id),
        ("wallet.credited", "CREDIT", credited.event_id),
    ]
    assert journals.journals[0].time_unix_micros == paid.time_unix_micros
    assert sum(entry.debit - entry.credit for entry in journals.journals[0].entries) == 0


async def test_what_goes_back_is_posted_from_every_exchange(
    db: Database, announce: Announce, channel: grpc.aio.Channel, events: Events
) -> None:
    paid = events.paid()
    payment_id = paid.payment.payment_id
    refunded, disputed = events.refunded(paid, held=40_000), events.disputed(paid, fee=1_500)
    announced = [
        paid, events.credited(payment_id=payment_id), events.locked(5_000, 400, payment_id), refunded,
        events.reversed(5_000, 400, payment_id, debt=100), events.debt_settled(paid=60, value=400),
        events.debt_settled(forgiven=40), events.refund_reversed(refunded), events.locked(payment_id=payment_id),
        disputed, events.released(payment_id=payment_id), events.dispute_won(disputed), events.dispute_lost(disputed),
        events.settled(),
    ]  # fmt: skip
    for event in announced:
        await announce([event])

    async def posted() -> bool:
        return await count(db, "inbox") == len(announced)

    await until(posted)
    assert await count(db, "dead_letters") == 0
    ledger = LedgerServiceStub(channel)
    response = await ledger.ListPaymentSums(
        pb.ListPaymentSumsRequest(payment_ids=[payment_id]), timeout=TIMEOUT, wait_for_ready=True
    )
    sums = {each.account: each.debit - each.credit for each in response.sums}
    assert sums["asset:disputed"] == -50_000
    assert sums["asset:gateway:cashfree"] == 50_000 - 1_500
    assert sums["wallets:locked"] == 0
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ledger.ListPaymentSums(pb.ListPaymentSumsRequest(payment_ids=[payment_id] * 1001), timeout=TIMEOUT)
    assert grpc_client.errors_from(refused.value).code == "limit_exceeded"


async def test_what_does_not_add_up_becomes_a_dead_letter_alone(
    db: Database, announce: Announce, channel: grpc.aio.Channel, events: Events
) -> None:
    await announce([events.paid(), events.paid(net=1), events.paid()])

    async def handled() -> bool:
        return await count(db, "journals") == 2 and await count(db, "dead_letters") == 1

    await until(handled)
    dead = await DeliveryServiceStub(channel).ListDeadLetters(
        delivery_pb2.ListDeadLettersRequest(), timeout=TIMEOUT, wait_for_ready=True
    )
    assert [(each.queue, each.error_code) for each in dead.dead_letters] == [("ledger.posting", "journal_unbalanced")]


async def test_audit_is_kept_and_listed(
    db: Database, announce: Announce, channel: grpc.aio.Channel, events: Events
) -> None:
    paid = events.paid()
    payment_id = paid.payment.payment_id
    await announce([paid])
    await announce([events.audited(resource_id=payment_id), events.audited(resource_id=payment_id, after_json="{")])

    async def handled() -> bool:
        return await count(db, "audit_logs") == 1 and await count(db, "dead_letters") == 1

    await until(handled)
    listed = await LedgerServiceStub(channel).ListAudit(
        pb.ListAuditRequest(resource_id=payment_id), timeout=TIMEOUT, wait_for_ready=True
    )
    assert [(each.actor_id, each.action, each.after_json) for each in listed.entries] == [
        ("usr_1", "payment.create", '{"status": "CREATED"}')
    ]
    delivery = DeliveryServiceStub(channel)
    timeline = await delivery.Story(delivery_pb2.StoryRequest(reference=payment_id), timeout=TIMEOUT)
    assert sorted(entry.kind for entry in timeline.entries) == ["audit", "journal"]
    of_user = await delivery.Story(delivery_pb2.StoryRequest(reference="usr_1"), timeout=TIMEOUT)
    assert [entry.kind for entry in of_user.entries] == ["audit"]
    totals = await delivery.Totals(delivery_pb2.TotalsRequest(), timeout=TIMEOUT)
    assert totals.totals["journals.count"] == 1
    assert totals.totals["journals.unbalanced"] == totals.totals["ledger.INR.difference"] == 0
    assert totals.totals["ledger.INR.asset:gateway:cashfree.debit"] == 50_000


async def test_a_reference_that_is_none_is_refused_by_name(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await LedgerServiceStub(channel).ListJournals(
            pb.ListJournalsRequest(reference=ids.encode("wal", ids.new())), timeout=TIMEOUT, wait_for_ready=True
        )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert grpc_client.errors_from(refused.value).code == "id_invalid"
