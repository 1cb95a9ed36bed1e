"""What provokes each guard: the smallest thing, on a real fleet, that goes wrong without it and goes right with it."""

import asyncio
import os
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import aio_pika
from msgspec import Struct

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.wallet.v1 import wallet_pb2
from common import envelopes, topology
from common.guards import (
    ACK_AFTER_COMMIT,
    FRESH_HEADERS,
    INBOX_CLAIM,
    INTENT_LEASE,
    LOCK_ORDER,
    MANDATORY,
    OPERATION_KEY,
    OUTBOX,
    OUTBOX_LEASE,
    ROW_LOCK,
    SIGNATURE,
    SWEEPER,
    Guard,
)
from ops import invariants, journey
from ops.journey import Member
from tests.faults.environment import Environment
from tests.faults.messages import consumption, request_consumption, requested, send
from tests.faults.proxy import NetworkConditions
from tests.faults.scenario import Act
from tests.faults.scenarios.webhooks import orders_paid


class Control(Struct, frozen=True):
    """A guard, how it is taken away, and what shows that it was needed."""

    name: str
    service: str
    """Which service loses it; "postgresql" for a setting of the server."""
    without: Guard | str
    """The guard, or the server's setting."""
    provoke: Act
    expected: str
    """What the checker must say without the guard, among others: a part of one of its complaints."""
    window: str = ""
    """What holds a window open in both halves: a name in tests.faults.mutations."""
    second_guard: str = ""
    """A statement that takes away, in both halves, what would make good for the lack of this one."""


async def _bought(environment: Environment, count: int) -> None:
    """That many payments, paid, known to the history."""
    made = await orders_paid(environment, count, "success")
    environment.history.paid_orders += [created.order_id for created in made]


async def _forge(environment: Environment) -> None:
    """One webhook with a forged signature."""
    await environment.gateway(action="bad_signature", operation="webhook", count=1, event="PAYMENT_SUCCESS_WEBHOOK")
    [created] = await orders_paid(environment, 1, "success")
    environment.history.paid_orders.append(created.order_id)
    await asyncio.sleep(1)
    log = (await environment.fleet.sandbox("GET", f"/control/webhooks?order_id={created.order_id}")).data["webhooks"]
    environment.expect([sent for sent in log if sent["status"] == 401], "a forged webhook is answered 401")


async def _success_again(environment: Environment) -> None:
    """Successes come to the wallet again, in new envelopes: the inbox does not know them."""
    await _bought(environment, 3)
    await asyncio.sleep(1)
    messages = []
    for known in await _announced(environment, "commdesk.payment.v1.PaymentSucceeded"):
        envelope_id, body = envelopes.seal(known.producer, known.type, list(known.events))
        messages.append(aio_pika.Message(body, type=known.type, message_id=str(envelope_id), delivery_mode=2))
    await send(environment, "wallet.credit", messages)


async def _creation_again(environment: Environment) -> None:
    """Creations come to fraud again, in the same envelopes: nothing but the inbox knows them."""
    await _bought(environment, 3)
    await asyncio.sleep(1)
    messages = [
        aio_pika.Message(
            known.SerializeToString(), type=known.type, message_id=str(UUID(bytes=known.id)), delivery_mode=2
        )
        for known in await _announced(environment, "commdesk.payment.v1.PaymentCreated")
    ]
    await send(environment, "fraud.detection", messages)


async def _announced(environment: Environment, type_name: str) -> list[Envelope]:
    """The newest envelopes of a type that payment announced."""
    async with environment.db() as db:
        rows = await db.fetch(
            "select body from payment.outbox where type = $1 order by envelope_id desc limit 5", type_name
        )
    return [Envelope.FromString(row["body"]) for row in rows]


async def _queue_away(environment: Environment) -> None:
    """The queue of mails, the only one of its key, is missing while payments succeed."""
    await invariants.until_quiet(environment.fleet.description, 20)
    async with environment.broker() as channel:
        await channel.queue_delete("notifications.billing")
        await _bought(environment, 3)
        await asyncio.sleep(3)
        await topology.declare(channel, environment.fleet.description["retry_schedule_ms"])
    await environment.release("payment")


async def _kill_wallet(environment: Environment) -> None:
    """SIGKILL to the wallet while successes lie in it."""
    await _bought(environment, 5)
    await asyncio.sleep(0.5)
    await environment.kill("wallet")
    await asyncio.sleep(0.5)
    await environment.until_ready("wallet")


async def _killed_without_broker(environment: Environment) -> None:
    """Payments succeed while the broker cannot be reached; payment is killed before it can."""
    with environment.conditions("rabbitmq", NetworkConditions(refuse=True)):
        environment.proxies["rabbitmq"].reset()
        made = await orders_paid(environment, 3, "success")
        environment.history.paid_orders += [created.order_id for created in made]
        for created in made:
            body = {"orderId": created.order_id}
            await environment.fleet.edge("POST", "/api/v1/payments/verify", body, token=created.member.token)
        await environment.kill("payment")
    await asyncio.sleep(0.5)
    await environment.until_ready("payment")


async def _one_wallet_twice(environment: Environment) -> None:
    """gRPC and queue of the wallet spend one member's credits at the same moment, three times."""
    member = environment.spenders[0]
    for _ in range(3):
        body = requested(consumption(member, 7, f"queue-{secrets.token_hex(8)}"))
        await request_consumption(environment, body)
        await _consume(environment, f"grpc-{secrets.token_hex(8)}", member)
        await asyncio.sleep(0.5)


async def _two_wallets_crosswise(environment: Environment) -> None:
    """gRPC and queue of the wallet spend two members' credits at the same moment, three times."""
    one, other = environment.spenders[:2]
    for _ in range(3):
        items = [consumption(member, 7, f"queue-{secrets.token_hex(8)}") for member in (one, other)]
        body = requested(*items)
        await request_consumption(environment, body)
        await _consume(environment, f"grpc-{secrets.token_hex(8)}", one, other)
        await asyncio.sleep(2)


async def _consume(environment: Environment, key: str, *members: Member) -> None:
    """Spend by gRPC, with retries."""
    items = [consumption(member, 7, f"{key}-{number}") for number, member in enumerate(members)]
    for _ in range(20):
        try:
            request = wallet_pb2.ConsumeCreditsRequest(items=items)
            answer = await environment.fleet.wallet().ConsumeCredits(request, timeout=10)
        except Exception:  # noqa: BLE001 - the same keys again get the answer
            await asyncio.sleep(0.3)
            continue
        for result in answer.results:
            environment.history.consumed[result.transaction.operation_key] = result.transaction.transaction_id
        return
    environment.history.unknown.append(f"{key}: never answered")


async def _crash_of_the_server(environment: Environment) -> None:
    """PostgreSQL goes down with what it has not written: its WAL writer stands still, then all of it dies at once."""
    async with environment.db() as db:
        writer = await db.fetchval("select pid from pg_stat_activity where backend_type = 'walwriter'")
    os.kill(writer, signal.SIGSTOP)
    try:
        await orders_paid(environment, 5, "success")
        await _consume(environment, f"grpc-{secrets.token_hex(8)}", environment.spenders[0])
        os.kill(environment.state("postgresql").pid, signal.SIGQUIT)
    finally:
        # It was signalled to quit, and handles that signal first.
        os.kill(writer, signal.SIGCONT)
    await asyncio.sleep(1)
    await environment.until_ready("postgresql")


async def _two_sweepers(environment: Environment) -> AsyncIterator[None]:
    """Two processes of payment sweep one outbox, and the broker's confirms take a second."""
    copies: Counter[str] = Counter()
    async with environment.broker() as channel, environment.replica("payment"):
        tap = await channel.declare_queue(exclusive=True, auto_delete=True)
        await tap.bind("payment.exchange", "#")

        async def count(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            copies[str(message.message_id)] += 1

        await tap.consume(count, no_ack=True)
        with environment.conditions("rabbitmq", NetworkConditions(latency_seconds=0.5)):
            await _bought(environment, 3)
            await asyncio.sleep(8)
        environment.expect(
            copies and set(copies.values()) == {1}, f"each envelope is published once (was {dict(copies)})"
        )
        yield


async def _over_the_limit(environment: Environment) -> AsyncIterator[None]:
    """A request that lacks credits is given up by the broker, moved back as it is, and retried till they come."""
    member, key = environment.spenders[0], f"limit-{secrets.token_hex(8)}"
    available = (await journey.wallet(environment.fleet, member.user_id)).available
    body = requested(consumption(member, available + 100, key))
    await environment.stop("wallet")
    await request_consumption(environment, body)
    async with environment.broker() as channel:
        queue = await channel.get_queue("wallet.debit")
        for _ in range(topology.DELIVERY_LIMIT + 5):
            if (message := await queue.get(fail=False)) is not None:
                await message.nack(requeue=True)
        # As a shovel in the owner's name does it; `commdesk dlq replay` makes the headers afresh.
        dead_letters = await channel.get_queue("wallet.debit.dlq")
        dead = await journey.until(lambda: dead_letters.get(fail=False), "the dead letter")
        moved = aio_pika.Message(dead.body, type=dead.type, headers=dead.headers, delivery_mode=2)
        await send(environment, "wallet.debit", [moved])
        await dead.ack()
    await environment.start("wallet")
    await asyncio.sleep(0.5)
    made = await journey.create(environment.fleet, member, pack_id="pack_500", key=key)
    await journey.pay(environment.fleet, made["orderId"])
    yield
    async with environment.db() as db:
        spent = await db.fetchval("select count(*) from wallet.wallet_transactions where operation_key = $1", key)
    environment.expect(spent == 1, f"the request is carried out once (was {spent})")


async def _mails(environment: Environment) -> AsyncIterator[None]:
    """Mails take longer than the worker's next look."""
    made = await orders_paid(environment, 3, "success")
    environment.history.paid_orders += [created.order_id for created in made]
    yield
    for created in made:
        taken = await environment.fleet.mails(to=created.member.email)
        environment.expect(len(taken) == 1, f"one mail to each buyer (were {len(taken)})")


GRANTED = "paid order was not granted exactly once"
ONE_CHAIN = "alter table wallet.wallet_transactions drop constraint wallet_transactions_seq"

CONTROLS = (
    Control("signature", "webhook-ingest", SIGNATURE, _forge, "a forged webhook is answered 401"),
    Control("inbox-claim", "fraud", INBOX_CLAIM, _creation_again, "fraud counts a member's payments"),
    Control("operation-key", "wallet", OPERATION_KEY, _success_again, GRANTED),
    Control("row-lock", "wallet", ROW_LOCK, _one_wallet_twice, "contiguous", "slow-lock", ONE_CHAIN),
    Control("lock-order", "wallet", LOCK_ORDER, _two_wallets_crosswise, "deadlock", "locks-one-by-one"),
    Control("ack-after-commit", "wallet", ACK_AFTER_COMMIT, _kill_wallet, GRANTED, "slow-work"),
    Control("synchronous-commit", "postgresql", "synchronous_commit = off", _crash_of_the_server, "acknowledged "),
    Control("mandatory", "payment", MANDATORY, _queue_away, "exactly one mail that was sent"),
    Control("outbox", "payment", OUTBOX, _killed_without_broker, GRANTED),
    Control("sweeper", "payment", SWEEPER, _killed_without_broker, GRANTED),
    Control("outbox-lease", "payment", OUTBOX_LEASE, _two_sweepers, "published once", "sweeper-only"),
    Control("intent-lease", "notifier", INTENT_LEASE, _mails, "one mail to each buyer", "slow-mails"),
    Control("fresh-headers", "wallet", FRESH_HEADERS, _over_the_limit, "sent home arrived there"),
)
