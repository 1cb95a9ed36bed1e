"""Negative controls: with one guard taken out the checker must go red, and green again when the guard is back.

What never failed proves nothing. The controls spoil the books, so the database is put back from a copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatch

import aio_pika
import asyncpg

from commdesk.common.v1.common_pb2 import Envelope
from common import envelopes, topology
from common.topology import CONTRACT
from ops import stack
from ops.faults import command, scenario
from ops.faults.ground import QUIET_STEPS, Ground, service_names
from ops.faults.scenario import Act, Outcome, Scenario
from ops.faults.scenarios.webhooks import orders_paid
from ops.fleet import DATABASE

COPY = "spotless"
# A fleet without a guard may never come to rest: that is one of the ways to go red.
RED_QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Control:
    """A guard, the service that loses it, and what the guard is there for."""

    name: str
    sabotage: str
    """How it loses it: a name in ops.faults.sabotage."""
    service: str
    provoke: Act
    expected: str
    """What the checker must say, among others: a part of one of its complaints."""


async def run(ground: Ground, patterns: Sequence[str]) -> list[Outcome]:
    """All controls, or those that match; an outcome holds when it was red without the guard and green with it.

    First everything without guards, then the books are put back, then everything with guards: what is expected of a
    red one is said of that run's own requests, so that one control's ruins do not count for the next.
    """
    chosen = [each for each in CONTROLS if not patterns or any(fnmatch(each.name, pattern) for pattern in patterns)]
    await _copy(ground)
    reds = {}
    for control in chosen:
        reds[control.name] = await _red(ground, control)
    await _put_back(ground)
    outcomes = []
    for control in chosen:
        outcomes.append(await _green(ground, control, reds[control.name]))
        command.say(ground.steps, outcomes[-1])
        command.write(outcomes, "controls")
    return outcomes


async def _red(ground: Ground, control: Control) -> list[str]:
    """What the checker says without the guard."""
    unguarded = Scenario(control.name, control.provoke, "", "", quiet_seconds=RED_QUIET_SECONDS)
    async with without(ground, control):
        outcome = await scenario.run(ground, unguarded)
    red = any(control.expected in complaint for complaint in outcome.complaints)
    ground.steps.note(f"without {control.name}: {'red' if red else 'NOT RED'}")
    for complaint in outcome.complaints:
        ground.steps.note(f"    {complaint[:200]}")
    return outcome.complaints


async def _green(ground: Ground, control: Control, red: list[str]) -> Outcome:
    """The same with the guard back, and the judgement on both."""
    does = f"{control.sabotage} on {control.service}"
    outcome = await scenario.run(ground, Scenario(control.name, control.provoke, does, control.expected))
    outcome.complaints = [f"with the guard: {complaint}" for complaint in outcome.complaints]
    if not any(control.expected in complaint for complaint in red):
        outcome.complaints.append(f"without the guard nobody said {control.expected!r}, only {red}")
    outcome.held = not outcome.complaints
    return outcome


@asynccontextmanager
async def without(ground: Ground, control: Control) -> AsyncIterator[None]:
    """The fleet without the guard."""
    await ground.command(control.service, "-m", "ops.faults.sabotage", control.sabotage, control.service)
    try:
        yield
    finally:
        await ground.command(control.service)


# What provokes the guard.


async def _redeliver(ground: Ground) -> None:
    """Successes come to the wallet again, the same envelope and in a new one."""
    made = await orders_paid(ground, 5, "success")
    ground.history.paid_orders += [created.order_id for created in made]
    await asyncio.sleep(3)
    async with ground.db() as db:
        rows = await db.fetch(
            "select type, body from payment.outbox where type = $1 order by envelope_id desc limit 10",
            "commdesk.payment.v1.PaymentSucceeded",
        )
    async with await aio_pika.connect(ground.fleet.description["rabbitmq"]["url"], timeout=5) as connection:
        channel = await connection.channel()
        for row in rows:
            known = Envelope.FromString(row["body"])
            envelope_id, body = envelopes.seal(known.producer, known.type, list(known.events))
            for sent, sent_id in ((row["body"], None), (body, envelope_id)):
                message = aio_pika.Message(bytes(sent), type=row["type"], message_id=str(sent_id) if sent_id else None)
                await channel.default_exchange.publish(message, routing_key="wallet.credit")


async def _queue_away(ground: Ground) -> None:
    """The wallet's queue of successes is missing for 4 s."""
    async with await aio_pika.connect(ground.fleet.description["rabbitmq"]["url"], timeout=5) as connection:
        await (await connection.channel()).queue_delete("wallet.credit")
        await asyncio.sleep(4)
        await topology.declare(await connection.channel(), ground.fleet.description["retry_ladder_ms"])


async def _kill_wallet(ground: Ground) -> None:
    """SIGKILL to the wallet, twice."""
    for _ in range(2):
        await ground.kill("wallet")
        await asyncio.sleep(3)


async def _broker_away(ground: Ground) -> None:
    """The broker is killed twice; payment, too, once it is away."""
    await ground.stop("rabbitmq")
    await asyncio.sleep(4)
    await ground.kill("payment")
    await ground.start("rabbitmq")


async def _forge(ground: Ground) -> None:
    """One webhook with a forged signature."""
    await ground.gateway(action="bad_signature", operation="webhook", count=1, event="PAYMENT_SUCCESS_WEBHOOK")
    await asyncio.sleep(2)
    log = (await ground.fleet.sandbox("GET", "/control/webhooks?limit=1000")).data["webhooks"]
    refused = [sent for sent in log if sent["status"] == 401]
    ground.expect(refused, "a forged webhook is answered 401")


GRANTED = "paid order was not granted exactly once"

CONTROLS = (
    Control("signature", "no-signature", "webhook-ingest", _forge, "a forged webhook is answered 401"),
    Control("business-key", "no-business-key", "wallet", _redeliver, GRANTED),
    Control("commit-before-ack", "ack-before-commit", "wallet", _kill_wallet, GRANTED),
    Control("mandatory-flag", "not-mandatory", "payment", _queue_away, GRANTED),
    Control("inbox-claim", "no-inbox-claim", "wallet", _redeliver, "was claimed there"),
    Control("outbox", "no-outbox", "payment", _broker_away, GRANTED),
    Control("sweeper", "no-sweeper", "payment", _broker_away, GRANTED),
)


async def _copy(ground: Ground) -> None:
    await _alone(ground, f"create database {COPY} template {DATABASE}")
    await _resume(ground)


async def _put_back(ground: Ground) -> None:
    """The books as they were before, the queues and the gateway empty, the fleet running."""
    await ground.fleet.sandbox("POST", "/control/reset", {})
    await _alone(ground, f"drop database {DATABASE} with (force)", f"create database {DATABASE} template {COPY}")
    async with await aio_pika.connect(ground.fleet.description["rabbitmq"]["url"], timeout=10) as connection:
        channel = await connection.channel()
        await topology.declare(channel, ground.fleet.description["retry_ladder_ms"])
        for name in _queues(ground):
            await (await channel.get_queue(name)).purge()
    await _resume(ground)


async def _alone(ground: Ground, *statements: str) -> None:
    """Run statements on the server while no service has a session."""
    await ground.stop(*service_names(ground.layout))
    db = await asyncpg.connect(ground.fleet.description["postgresql"]["superuser_url"], timeout=5)
    try:
        for statement in statements:
            await db.execute(statement)
    finally:
        await db.close()


async def _resume(ground: Ground) -> None:
    # Roles' rights on a new database come with the bootstrap, which may be repeated.
    await asyncio.to_thread(stack.up, ground.layout, engines_only=False, steps=QUIET_STEPS)


def _queues(ground: Ground) -> list[str]:
    rungs = [topology.rung(ttl_ms) for ttl_ms in ground.fleet.description["retry_ladder_ms"]]
    return [name for queue in CONTRACT.queues for name in (queue.name, queue.dead_letters)] + rungs
