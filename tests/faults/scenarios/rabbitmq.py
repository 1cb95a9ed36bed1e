"""R: RabbitMQ is away, blocks, forgets a queue, or delivers what nobody can read."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika

from ops.doctor import examine
from tests.faults.dead_letters import discard
from tests.faults.environment import Environment
from tests.faults.messages import send
from tests.faults.proxy import NetworkConditions
from tests.faults.retry import retry
from tests.faults.scenario import scenario

MEMORY_LIMIT = "1024MiB"
DISK_LIMIT = "1GB"


@scenario("R68-memory-alarm", must="buying goes on, the outbox grows, it drains without a restart")
async def _(environment: Environment) -> None:
    """The broker's memory alarm blocks publishers for 15 s."""
    await environment.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MiB")
    try:
        await asyncio.sleep(15)
    finally:
        await environment.rabbitmqctl("set_vm_memory_high_watermark", "absolute", MEMORY_LIMIT)


@scenario("R68-disk-alarm", must="buying goes on, the outbox grows, it drains without a restart")
async def _(environment: Environment) -> None:
    """The broker's disk alarm blocks publishers for 15 s."""
    await environment.rabbitmqctl("set_disk_free_limit", "100000GB")
    try:
        await asyncio.sleep(15)
    finally:
        await environment.rabbitmqctl("set_disk_free_limit", DISK_LIMIT)


@scenario(
    "R-stopped-60s",
    must="buying goes on; the backlog drains at three times the arrival rate or faster",
    drain_ratio_min=3,
    random=False,
)
async def _(environment: Environment) -> None:
    """RabbitMQ is stopped for 60 s."""
    await environment.stop("rabbitmq")
    await asyncio.sleep(60)
    await environment.start("rabbitmq")


@scenario("R-killed", must="what was confirmed is there, what was not is published again, all of it claimed once")
async def _(environment: Environment) -> None:
    """SIGKILL to the broker."""
    await environment.kill("rabbitmq")
    await asyncio.sleep(1)
    await environment.until_ready("rabbitmq")


@scenario(
    "R70-queue-deleted",
    must="other queues take them, so nothing is returned: doctor --fix, and the delivery check sends them again",
    random=False,
)
async def _(environment: Environment) -> None:
    """The wallet's queue of successes is deleted; 6 s later `commdesk doctor --fix` declares it again."""
    await _delete_queue(environment, "wallet.credit")
    await asyncio.sleep(6)
    await _mend(environment)


@scenario(
    "R70-only-queue-deleted",
    must="publishes are returned and stay in the outbox; doctor --fix, and all is delivered",
    random=False,
)
async def _(environment: Environment) -> None:
    """The one queue that takes webhooks is deleted; 6 s later `commdesk doctor --fix` declares it again."""
    await _delete_queue(environment, "webhook.processing")
    await asyncio.sleep(4)
    async with environment.db() as db:
        kept = await db.fetchval("select count(*) from webhook_ingest.outbox where published_at is null")
        environment.expect(kept, "what was returned stays in the outbox")
    await asyncio.sleep(2)
    await _mend(environment)


async def _mend(environment: Environment) -> None:
    findings = await retry(lambda: examine(environment.fleet, fix=True))
    wrong = [finding.what for finding in findings if finding.what == "queues and bindings" and not finding.ok]
    environment.expect(not wrong, "doctor --fix declares what is missing")


async def _delete_queue(environment: Environment, name: str) -> None:
    async with environment.broker() as channel:
        await channel.queue_delete(name)


@scenario("R71-poison", must="it ends in the dead letters with a reason, its neighbours flow", random=False)
async def _(environment: Environment) -> AsyncIterator[None]:
    """Messages that nobody can read are put between the wallet's and the ledger's: no envelope, no type, no event."""
    queues = ("wallet.credit", "ledger.posting")
    poison = ((b"\xff\xfe\xfd", "nobody.knows.This"), (b"", ""), (b"{}", "commdesk.payment.v1.X"))
    for queue in queues:
        await send(environment, queue, [aio_pika.Message(body, type=kind) for body, kind in poison])
    yield
    for queue in queues:
        letters = await discard(environment, queue.split(".")[0], "poison of a scenario", queue=queue)
        environment.expect(len(letters) == 3, f"three dead letters of {queue} (found {len(letters)})")


@scenario("R77-half-open", must="heartbeats find out within two intervals, connections are made anew, nothing is lost")
async def _(environment: Environment) -> None:
    """Nothing passes between the services and the broker for 35 s, without a reset."""
    with environment.conditions("rabbitmq", NetworkConditions(black_hole=True)):
        await asyncio.sleep(35)


@scenario(
    "R-connections-reset", must="channels are opened anew; what was not confirmed or acked comes again, once in effect"
)
async def _(environment: Environment) -> None:
    """All connections to the broker are reset five times within five seconds."""
    for _ in range(5):
        environment.proxies["rabbitmq"].reset()
        await asyncio.sleep(1)


@scenario("R-confirms-lost", must="published again after the time-out, claimed once")
async def _(environment: Environment) -> None:
    """The broker receives and its answers are lost for 4 s (confirms and deliveries are lost), then reset."""
    with environment.conditions("rabbitmq", NetworkConditions(deaf=True)):
        await asyncio.sleep(4)
        environment.proxies["rabbitmq"].reset()


@scenario("R69-ack-timeout", must="its channel is closed, all of it comes again, once in effect", random=False)
async def _(environment: Environment) -> None:
    """The broker waits 3 s for an ack; the wallet's table is locked for 10 s, so that its batches take longer."""
    await _consumer_timeout(environment, 3_000, 1_000)
    try:
        async with environment.db() as db, db.transaction():
            await db.execute("lock table wallet.wallets in access exclusive mode")
            await asyncio.sleep(10)
    finally:
        await _consumer_timeout(environment, 1_800_000, 60_000)


async def _consumer_timeout(environment: Environment, milliseconds: int, look_milliseconds: int) -> None:
    """Channels take it over when they are opened, so all are opened anew."""
    for name, value in (("consumer_timeout", milliseconds), ("channel_tick_interval", look_milliseconds)):
        await environment.rabbitmqctl("eval", f"application:set_env(rabbit, {name}, {value}).")
    environment.proxies["rabbitmq"].reset()
    await asyncio.sleep(2)
