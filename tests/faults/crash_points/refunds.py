"""Use cases of money that goes back and of money that goes to the bank, died of as `use_cases` says."""

import asyncio
import secrets
from collections.abc import AsyncIterator

from ops import invariants
from tests.faults.crash_points.use_cases import RETRY_SECONDS_MAX, use_case
from tests.faults.environment import Environment
from tests.faults.scenarios.refunds import (
    check_settled,
    imported,
    paid,
    release_import,
    request_refund,
    settle,
    until_refunded,
)


@use_case("refund", "payment", "wallet", "ledger", "webhook-ingest", "notifier")
async def _(environment: Environment) -> AsyncIterator[None]:
    """Staff refund a part: hold, gateway, webhook, outcome, the credits taken, journals, credit note, mail."""
    made = await paid(environment, 1)
    await invariants.until_quiet(environment.fleet.description, RETRY_SECONDS_MAX)
    yield
    await request_refund(environment, made[0].payment_id, f"crash-{secrets.token_hex(8)}")
    await until_refunded(environment, made)
    yield


@use_case("refund-refused", "payment", "wallet")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The gateway refuses a refund: the credits that were held are released."""
    made = await paid(environment, 1)
    await invariants.until_quiet(environment.fleet.description, RETRY_SECONDS_MAX)
    yield
    # The simulator's word for a refund that fails.
    await request_refund(environment, made[0].payment_id, f"crash-{secrets.token_hex(8)}", reason="FAILED")
    await until_refunded(environment, made, status="FAILED")
    yield
    async with environment.db() as db:
        held = await db.fetchval(
            "select count(*) from wallet.holds where state <> 'RELEASED' and payment_id ="
            " (select id from payment.payments where order_id = $1)",
            made[0].order_id,
        )
    environment.expect(held == 0, "the hold is released")


@use_case("import-settlement", "payment", "ledger")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The gateway pays out; the import reads it, page and rows, tells the payments, and the ledger books it."""
    made = await paid(environment, 2)
    await settle(environment, made)
    await invariants.until_quiet(environment.fleet.description, RETRY_SECONDS_MAX)
    yield
    importing = asyncio.create_task(imported(environment))
    while not importing.done():
        # A process that died while it imported keeps its lease; how long it lasts is shown elsewhere.
        await asyncio.wait({importing}, timeout=2)
        await release_import(environment)
    await importing
    yield
    await check_settled(environment, made)
