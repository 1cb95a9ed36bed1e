"""W: webhooks that come early, often, late, in the wrong order, forged or not at all; keys that are used twice."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import aiohttp

from ops import journey, virtual_users
from ops.journey import Member
from tests.faults.environment import Environment
from tests.faults.history import Created
from tests.faults.scenario import scenario

CREATE = "/api/v1/payments/create"
RULE_SECONDS = 6.0


async def order(environment: Environment, member: Member) -> Created:
    """A payment that the scenario itself makes, known to the history."""
    key = f"own-{secrets.token_hex(12)}"
    answer = await virtual_users.create_with_retries(environment.fleet, member, key)
    created = Created(member, key, answer.data["paymentId"], answer.data["orderId"], answer.raw)
    environment.history.created.append(created)
    return created


async def orders_paid(environment: Environment, count: int, outcome: str) -> list[Created]:
    """That many payments, each paid with *outcome* at the gateway."""
    made = await asyncio.gather(
        *(order(environment, member) for member in virtual_users.members(environment.fleet, count))
    )
    for created in made:
        await virtual_users.pay_order(environment.fleet, created.order_id, outcome=outcome)
    return made


async def captured(environment: Environment, made: list[Created]) -> list[int]:
    """How many duplicate captures each payment has; one more grant for any of them shows in the invariants."""
    async with environment.db() as db:
        return [
            await db.fetchval(
                "select count(*) from payment.transactions t join payment.payments p on p.id = t.payment_id"
                " where p.order_id = $1 and t.status = 'DUPLICATE'",
                created.order_id,
            )
            for created in made
        ]


@scenario("W13-webhook-before-answer", must="answered 200, waits for its payment, granted once")
async def _(environment: Environment) -> None:
    """Half of the orders are paid, and their webhooks sent, before the gateway answers the create call."""
    await environment.gateway(action="pay_on_create", operation="create_order", probability=0.5)
    await asyncio.sleep(RULE_SECONDS)


@scenario("W15-webhook-twenty-times", must="one effect, all answered 200")
async def _(environment: Environment) -> None:
    """A third of the webhooks are sent 20 times at once."""
    await environment.gateway(action="duplicate", operation="webhook", times=20, probability=0.3)
    await asyncio.sleep(RULE_SECONDS)


@scenario("W17-resent-with-new-signature", must="the business key keeps them out")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The last 20 webhooks are sent three times more when all is done, with fresh timestamps and signatures."""
    yield
    log = (await environment.fleet.sandbox("GET", "/control/webhooks?limit=20")).data["webhooks"]
    for sent in log:
        await environment.fleet.sandbox("POST", f"/control/webhooks/{sent['id']}/resend", {"fresh": True, "times": 3})


@scenario("W19-failed-and-success-in-any-order", must="the success counts once, whichever comes first")
async def _(environment: Environment) -> None:
    """15 payments fail and then succeed; their webhooks arrive at random moments within 3 s."""
    await environment.gateway(action="reorder", operation="webhook", window_ms=3000)
    made = await orders_paid(environment, 15, "late_success")
    environment.history.paid_orders += [created.order_id for created in made]
    await asyncio.sleep(4)


@scenario("W21-wrong-amount", must="quarantined with an alert, no credit")
async def _(environment: Environment) -> AsyncIterator[None]:
    """Five payments capture a rupee less than ordered, five in another currency."""
    made = await orders_paid(environment, 5, "amount_mismatch") + await orders_paid(environment, 5, "currency_mismatch")
    yield
    for created in made:
        wallet = await journey.wallet(environment.fleet, created.member.user_id)
        environment.expect(wallet.available == 0, f"no credits for {created.payment_id}")
    async with environment.db() as db:
        held = await db.fetchval(
            "select count(*) from payment.payments where order_id = any($1) and review = 'QUARANTINED'",
            [created.order_id for created in made],
        )
    environment.expect(held == len(made), f"all {len(made)} are quarantined (found {held})")


@scenario("W22-forged-and-altered", must="refused with 401; the sweep finds the payments at the gateway")
async def _(environment: Environment) -> AsyncIterator[None]:
    """A third of the webhooks are signed with another secret, a third altered after signing."""
    await environment.gateway(action="bad_signature", operation="webhook", probability=0.33)
    await environment.gateway(action="alter_body", operation="webhook", probability=0.33)
    await asyncio.sleep(RULE_SECONDS)
    await environment.lift()
    [member] = virtual_users.members(environment.fleet, 1)
    created = await order(environment, member)
    await environment.gateway(action="bad_signature", operation="webhook", order_id=created.order_id)
    await virtual_users.pay_order(environment.fleet, created.order_id)
    environment.history.paid_orders.append(created.order_id)
    environment.expect(await first_answer(environment, created.order_id) == 401, "a forged webhook is answered 401")
    yield


async def first_answer(environment: Environment, order_id: str) -> int:
    """How webhook-ingest answered the first webhook of an order that reached it; 0 if none does in a while."""
    for _ in range(150):
        log = (await environment.fleet.sandbox("GET", f"/control/webhooks?order_id={order_id}")).data["webhooks"]
        # 5xx comes from in front of a service that is away, which may be another fault's doing.
        answers = [int(sent["status"]) for sent in log if sent["status"] and int(sent["status"]) < 500]
        if answers:
            return answers[0]
        await asyncio.sleep(0.2)
    return 0


@scenario("W-webhooks-dropped", must="the sweep asks the gateway: every payment is granted without them")
async def _(environment: Environment) -> None:
    """No webhook is sent for 6 s."""
    await environment.gateway(action="drop", operation="webhook")
    await asyncio.sleep(RULE_SECONDS)


@scenario("W27-webhooks-after-an-outage", must="accepted as they come again, worked at capacity")
async def _(environment: Environment) -> None:
    """webhook-ingest is stopped for 8 s; what was not accepted comes again all at once."""
    await environment.stop("webhook-ingest")
    await asyncio.sleep(8)
    await environment.start("webhook-ingest")


@scenario("W29-key-with-another-body", must="422, and no effect")
async def _(environment: Environment) -> None:
    """A key is used again with another pack, ten times."""
    for member in virtual_users.members(environment.fleet, 10):
        created = await order(environment, member)
        answer = await virtual_users.create_with_retries(environment.fleet, member, created.key, packId="pack_150")
        environment.expect(answer.status == 422, f"422 for a key with another body (was {answer.status})")


@scenario("W30-key-at-once", must="one runs; the others get its answer or 409; one payment")
async def _(environment: Environment) -> AsyncIterator[None]:
    """Ten keys are used five times each at the same moment."""
    asked = [
        (member, f"at-once-{secrets.token_hex(8)}")
        for member in virtual_users.members(environment.fleet, 10)
        for _ in "1"
    ]
    answers = await asyncio.gather(
        *(virtual_users.create_with_retries(environment.fleet, member, key) for member, key in asked for _ in range(5))
    )
    payments = {answer.data["paymentId"] for answer in answers if answer.status == 201}
    environment.expect(
        len(payments) == len(asked), f"{len(asked)} payments for {len(asked)} keys (found {len(payments)})"
    )
    yield


@scenario("W32-client-hangs-up", must="the work completes and the same key gets its result")
async def _(environment: Environment) -> None:
    """30 members hang up 15 ms after asking, and ask again with the same key."""
    url = environment.fleet.description["edge_url"] + CREATE

    async def hang_up(member: Member) -> None:
        key = f"hung-up-{secrets.token_hex(8)}"
        headers = {"Authorization": f"Bearer {member.token}", "Idempotency-Key": key}
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.015)) as http:
                await http.post(url, data=json.dumps({"packId": "pack_500"}), headers=headers)
        except (TimeoutError, aiohttp.ClientError):
            pass
        answer = await virtual_users.create_with_retries(environment.fleet, member, key)
        created = Created(member, key, answer.data["paymentId"], answer.data["orderId"], answer.raw)
        environment.history.created.append(created)

    await asyncio.gather(*(hang_up(member) for member in virtual_users.members(environment.fleet, 30)))


@scenario("W-second-capture", must="one grant; the second capture is a duplicate with an alert")
async def _(environment: Environment) -> AsyncIterator[None]:
    """Ten orders are captured twice."""
    made = await orders_paid(environment, 10, "success_twice")
    environment.history.paid_orders += [created.order_id for created in made]
    yield
    environment.expect(
        await captured(environment, made) == [1] * len(made), "each second capture is noted as a duplicate"
    )
