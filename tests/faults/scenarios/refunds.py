"""R: money that goes back and money that goes to the bank, while those who book it die or the gateway is silent."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import refunds_pb2, settlements_pb2
from tests.faults.environment import Environment
from tests.faults.history import Created
from tests.faults.quiescence import until_done
from tests.faults.retry import retry
from tests.faults.scenario import Act, Scenario, add, scenario
from tests.faults.scenarios.webhooks import orders_paid

PAYMENTS = 8
REFUNDED_MINOR = 10_000
QUIET_SECONDS = 60.0
# A refund whose webhook got lost is looked up after a minute.
OUTCOME_SECONDS = 120.0
KILLS = 3
# Between two of them: one falls before the hold, at the gateway call or when the outcome is booked.
BETWEEN_SECONDS = 0.4
GATEWAY_SILENT_SECONDS = 15.0
ONCE = "each refund is held, made, booked and mailed once; none is lost, none is failed"


async def paid(environment: Environment, count: int = PAYMENTS) -> list[Created]:
    """Payments that are granted."""
    made = await orders_paid(environment, count, "success")
    environment.history.paid_orders += [created.order_id for created in made]
    await _until_granted(environment, made)
    return made


async def _until_granted(environment: Environment, made: Sequence[Created]) -> None:
    async def look() -> None:
        async with environment.db() as db:
            granted = await db.fetchval(
                "select count(*) from wallet.wallet_transactions where type = 'GRANT' and source_id = any($1)",
                [created.payment_id for created in made],
            )
        if granted < len(made):
            raise TimeoutError(f"{granted} of {len(made)} payments are granted")

    await retry(look)


async def request_refund(environment: Environment, payment_id: str, key: str, *, reason: str = "") -> str:
    """Ask for a part of the payment until it is answered; the refund's id. The same key is the same refund."""
    item = refunds_pb2.RefundRequest(
        payment_id=payment_id,
        amount=Money(minor=REFUNDED_MINOR, currency="INR"),
        reason=reason or f"asked for {key}",
        idempotency_key=key,
        operator="operator:faults",
    )

    async def ask() -> str:
        answer = await environment.fleet.refunds().RequestRefunds(
            refunds_pb2.RequestRefundsRequest(items=[item]), timeout=10
        )
        [result] = answer.results
        if result.HasField("error"):
            raise TimeoutError(f"{result.error.code}: {result.error.message}")
        return str(result.refund.refund_id)

    return await retry(ask)


async def refunds_asked(environment: Environment, made: Sequence[Created]) -> list[str]:
    """One refund of each payment, asked for at once, each by two who use the same key."""
    keys = {created.payment_id: f"faults-{secrets.token_hex(8)}" for created in made}
    asked = await asyncio.gather(*(request_refund(environment, id_, key) for id_, key in keys.items() for _ in "12"))
    refund_ids = sorted(set(asked))
    environment.expect(len(refund_ids) == len(made), f"{len(made)} refunds for {len(made)} keys ({len(refund_ids)})")
    return refund_ids


async def until_refunded(environment: Environment, made: Sequence[Created], *, status: str = "SUCCESS") -> None:
    """Wait until every refund has that status, and the fleet is quiet again; complain if one does not get there."""

    async def statuses() -> dict[str, int]:
        async with environment.db() as db:
            rows = await db.fetch(
                "select r.status, count(*) as number from payment.refunds r"
                " join payment.payments p on p.id = r.payment_id where p.order_id = any($1) group by 1",
                [created.order_id for created in made],
            )
        return {row["status"]: row["number"] for row in rows}

    async def look() -> None:
        if await statuses() != {status: len(made)}:
            raise TimeoutError

    try:
        await retry(look, OUTCOME_SECONDS)
    except TimeoutError:
        environment.expect(False, f"each of {len(made)} refunds is {status} once (are {await statuses()})")
    await until_done(environment, QUIET_SECONDS)


def refunds_while_killed(*services: str) -> Act:
    async def act(environment: Environment) -> AsyncIterator[None]:
        made = await paid(environment)
        asking = asyncio.create_task(refunds_asked(environment, made))
        for _ in range(KILLS):
            await asyncio.sleep(BETWEEN_SECONDS)
            await asyncio.gather(*(environment.kill(service) for service in services))
            for service in services:
                await environment.until_ready(service)
        await asking
        for service in services:
            await environment.release(service)
        yield
        await until_refunded(environment, made)

    return act


def import_while_killed(service: str) -> Act:
    async def act(environment: Environment) -> AsyncIterator[None]:
        made = await paid(environment)
        await settle(environment, made)
        importing = asyncio.create_task(imported(environment))
        for _ in range(KILLS):
            await asyncio.sleep(BETWEEN_SECONDS / 2)
            await environment.kill(service)
            await environment.until_ready(service)
            await release_import(environment)
        await importing
        await imported(environment)
        yield
        await check_settled(environment, made)

    return act


async def settle(environment: Environment, made: Sequence[Created]) -> None:
    """The gateway pays these orders out."""
    await environment.fleet.sandbox("POST", "/control/settlements", {"order_ids": [each.order_id for each in made]})


async def imported(environment: Environment) -> None:
    """Import settlements until all of it is read."""

    async def ask() -> None:
        answer = await environment.fleet.settlements().ImportSettlements(
            settlements_pb2.ImportSettlementsRequest(), timeout=30
        )
        if not answer.is_complete:
            await release_import(environment)
            raise TimeoutError("the import is not complete")

    await retry(ask)


async def release_import(environment: Environment) -> None:
    """End the lease of a dead importer: how long it lasts is shown elsewhere."""
    async with environment.db() as db:
        await db.execute("update payment.settlement_imports set leased_until = null")


async def check_settled(environment: Environment, made: Sequence[Created]) -> None:
    """Each payment is in one row and settled, and the settlement is booked once for each time it changed."""
    async with environment.db() as db:
        rows = await db.fetch(
            "select p.settlement_status, s.id, s.seq, s.rows_due, s.payments_due from payment.payments p"
            " left join payment.settlement_rows r on r.payment_id = p.id and r.kind = 'PAYMENT'"
            " left join payment.settlements s on s.id = r.settlement_id where p.order_id = any($1)",
            [created.order_id for created in made],
        )
        settled = {row["id"] for row in rows}
        journals = await db.fetchval(
            "select count(*) from ledger.journals where reference = any($1) and template = 'settlement.imported'",
            [each for each in settled if each],
        )
    whole = [
        row for row in rows if row["settlement_status"] == "SETTLED" and not (row["rows_due"] or row["payments_due"])
    ]
    environment.expect(len(rows) == len(whole) == len(made), f"{len(made)} payments are settled once ({len(whole)})")
    environment.expect(journals == len(settled) == 1, f"one settlement, booked once ({len(settled)}, {journals})")


for _service in ("payment", "wallet", "ledger"):
    add(
        Scenario(
            f"R-refunds-{_service}-killed",
            refunds_while_killed(_service),
            f"SIGKILL to {_service} {KILLS} times while {PAYMENTS} refunds are asked for twice each and carried out.",
            ONCE,
            random=False,
        )
    )
add(
    Scenario(
        "R-refunds-all-killed",
        refunds_while_killed("payment", "wallet", "ledger"),
        f"SIGKILL to payment, wallet and ledger at once, {KILLS} times, while {PAYMENTS} refunds are carried out.",
        ONCE,
        random=False,
    )
)
for _service in ("payment", "ledger"):
    add(
        Scenario(
            f"R-import-{_service}-killed",
            import_while_killed(_service),
            f"SIGKILL to {_service} {KILLS} times while a settlement of {PAYMENTS} payments is imported.",
            "each row is kept once, each payment is settled, the settlement is booked once",
            random=False,
        )
    )


@scenario(
    "R-refund-gateway-unknown",
    must="unknown is not failed: each refund stays under way, and is made once",
    random=False,
)
async def _(environment: Environment) -> AsyncIterator[None]:
    """The gateway makes refunds and answers 500, and lists none, for 15 s: many tries of each."""
    made = await paid(environment)
    await environment.gateway(action="apply_then_error", operation="create_refund", status=500)
    for operation in ("get_refund", "get_refunds"):
        await environment.gateway(action="error", operation=operation, status=503)
    await environment.gateway(action="drop", operation="webhook", event="REFUND_STATUS_WEBHOOK")
    refund_ids = await refunds_asked(environment, made)
    await asyncio.sleep(GATEWAY_SILENT_SECONDS)
    async with environment.db() as db:
        failed = await db.fetchval(
            "select count(*) from payment.refunds r join payment.payments p on p.id = r.payment_id"
            " where p.order_id = any($1) and r.status <> 'PROCESSING'",
            [created.order_id for created in made],
        )
    environment.expect(not failed, f"all {len(refund_ids)} refunds are under way while nobody knows ({failed} are not)")
    await environment.lift()
    await environment.release("payment")
    yield
    await until_refunded(environment, made)


@scenario(
    "R-refund-webhook-first", must="the webhook's word counts, the answer that follows changes nothing", random=False
)
async def _(environment: Environment) -> AsyncIterator[None]:
    """The gateway makes refunds and answers only after 6 s: their webhooks come before."""
    made = await paid(environment)
    await environment.gateway(action="apply_then_timeout", operation="create_refund", delay_ms=6_000)
    await refunds_asked(environment, made)
    await asyncio.sleep(7)
    yield
    await until_refunded(environment, made)
