"""What operators and releases do to a fleet that is at work: secrets change, schemas change, a second one runs."""

import asyncio
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import aio_pika
import grpc.aio

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.reconciler.v1 import reconciler_pb2
from common import envelopes
from ops import fleet, virtual_users
from ops.ports import Replica
from tests.faults.dead_letters import discard
from tests.faults.environment import Environment
from tests.faults.messages import send
from tests.faults.scenario import scenario
from tests.faults.scenarios.webhooks import first_answer, order, orders_paid

# Beyond the ports of services and proxies.
SECOND_PORTS = 70
SECONDS = 8.0
RUNS_AT_ONCE = 5
# How often five are asked for at once, until none of the schedule is under way.
RUN_TRIES = 20


@scenario("C11-newer-producer", must="what it does not know is kept or parked, never a crash", random=False)
async def _(environment: Environment) -> AsyncIterator[None]:
    """The wallet is handed successes with a field that it does not know, and an event of a type that it does not."""
    await environment.stop("wallet")
    made = await orders_paid(environment, 10, "success")
    environment.history.paid_orders += [created.order_id for created in made]
    await asyncio.sleep(3)
    altered = await _newer(environment, "wallet.credit")
    await environment.start("wallet")
    yield
    environment.expect(altered, "there were envelopes to alter")
    parked = await discard(environment, "wallet", "an event of tomorrow", type=TOMORROW)
    environment.expect(len(parked) == 1, f"the event of tomorrow is parked (found {len(parked)})")


TOMORROW = "commdesk.payment.v1.PaymentForgiven"
# Field 2047 of wire type 0, which no message has.
_UNKNOWN_FIELD = b"\xf8\x7f\x2a"


async def _newer(environment: Environment, queue: str) -> int:
    """Put what waits in *queue* back as a newer producer would have sent it, and one event more; how many."""
    count = 0
    async with environment.broker() as channel:
        waiting = await channel.get_queue(queue)
        ends = (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0
        for _ in range(ends):
            message = await waiting.get(fail=False)
            if message is None:
                break
            envelope = Envelope.FromString(message.body)
            if envelope.type == PaymentSucceeded.DESCRIPTOR.full_name:
                envelope.events[:] = [event + _UNKNOWN_FIELD for event in envelope.events]
                count += 1
            await send(environment, queue, [_message(envelope, message.headers)])
            await message.ack()
    _, body = envelopes.seal("payment", TOMORROW, [b"\x0a\x01x"])
    await send(environment, queue, [_message(Envelope.FromString(body), {})])
    return count


def _message(envelope: Envelope, headers: aio_pika.abc.HeadersType) -> aio_pika.Message:
    return aio_pika.Message(
        envelope.SerializeToString() + _UNKNOWN_FIELD,
        type=envelope.type,
        message_id=str(UUID(bytes=envelope.id)),
        headers=headers,
    )


@scenario("W23-secret-rotation", must="both are good while both are known; then the old one is refused", random=False)
async def _(environment: Environment) -> AsyncIterator[None]:
    """webhook-ingest knows a new secret beside the one that the gateway signs with, then the new one alone."""
    old, new = environment.fleet.description["cashfree"]["secret_key"], secrets.token_hex(24)
    try:
        await environment.command("webhook-ingest", variables={"CASHFREE_WEBHOOK_SECRET": f"{new},{old}"})
        await asyncio.sleep(3)
        environment.expect(await _answered(environment) == 200, "the old secret is good beside the new one")
        await environment.command("webhook-ingest", variables={"CASHFREE_WEBHOOK_SECRET": new})
        environment.expect(
            await _answered(environment) == 401, "the old secret is refused when it is not known any more"
        )
    finally:
        await environment.command("webhook-ingest")
    yield


async def _answered(environment: Environment) -> int:
    """How the webhook of a payment is answered that the gateway signs as ever."""
    [member] = virtual_users.members(environment.fleet, 1)
    created = await order(environment, member)
    await virtual_users.pay_order(environment.fleet, created.order_id)
    environment.history.paid_orders.append(created.order_id)
    return await first_answer(environment, created.order_id)


@scenario("N87-two-of-each", must="one runs each job, one reconciliation at a time; each effect once", random=False)
async def _(environment: Environment) -> None:
    """A second process of each service that has schedules; five reconciliations are asked for at once."""
    services = ("payment", "wallet", "ledger", "webhook-ingest", "notifier", "reconciler")
    async with _second(environment, services):
        await asyncio.sleep(SECONDS)
        answers: list[str] = []
        for _ in range(RUN_TRIES):
            answers = await asyncio.gather(*(_reconcile(environment) for _ in range(RUNS_AT_ONCE)))
            if "OK" in answers:
                break
            # A scheduled run was under way, and rightly kept all five out: ask again when it has ended.
            await asyncio.sleep(1)
        environment.expect("OK" in answers, f"one reconciliation runs (was {answers})")
        refused = {answer for answer in answers if answer != "OK"}
        environment.expect(refused <= {"ALREADY_EXISTS"}, f"the others are refused because one runs (was {answers})")
        await asyncio.sleep(2)


async def _reconcile(environment: Environment) -> str:
    try:
        await environment.fleet.reconciler().Run(reconciler_pb2.RunRequest(actor="faults"), timeout=60)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@asynccontextmanager
async def _second(environment: Environment, services: Sequence[str]) -> AsyncIterator[None]:
    """Another process of each of *services*, on ports of its own; half of them are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, name in enumerate(services):
            port = environment.layout.port_base + SECOND_PORTS + 2 * number
            started.append(await asyncio.to_thread(_start, environment, name, port))
        await asyncio.sleep(5)
        environment.expect(all(each.poll() is None for each in started), "the second ones run")
        yield
    finally:
        for number, running in enumerate(started):
            running.kill() if number % 2 else running.terminate()
        for running in started:
            await asyncio.to_thread(running.wait, 40)


def _start(environment: Environment, name: str, port: int) -> subprocess.Popen[bytes]:
    process = fleet.service(environment.layout, environment.stack.credentials, Replica(name), os.environ)
    variables = {**process.environment, "HTTP_PORT": str(port), "GRPC_PORT": str(port + 1)}
    with (environment.layout.logs / f"{name}-second.log").open("wb") as log:
        return subprocess.Popen(process.command, env=variables, stdout=log, stderr=log, cwd="/")
