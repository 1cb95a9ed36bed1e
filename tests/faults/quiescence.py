"""When a fleet is done: no webhook to come, nothing under way, and what was paid is granted."""

import asyncio
import time

from ops import invariants
from tests.faults.environment import Environment

# Nothing else is under way for so long: nobody works at these mails.
MAILS_ALONE_SECONDS = 6.0


async def until_done(environment: Environment, seconds: float) -> None:
    """No webhook to come, nothing under way, and what was paid is granted. Raises TimeoutError."""
    ends = time.monotonic() + seconds
    while (await environment.fleet.sandbox("GET", "/control/stats")).data["webhooks"]["pending"]:
        if time.monotonic() > ends:
            raise TimeoutError("webhooks are still to come")
        await asyncio.sleep(0.3)
    if await _only_mails_wait(environment, ends):
        await _release_mails(environment)
        await invariants.until_quiet(environment.fleet.description, seconds)
    while await _ungranted(environment):
        # A lost webhook: the sweep finds the payment, or the last check complains.
        if time.monotonic() > ends:
            break
        await asyncio.sleep(0.5)
    await invariants.until_quiet(environment.fleet.description, seconds)


async def _only_mails_wait(environment: Environment, ends: float) -> bool:
    """Wait for quiet; True when nothing but mails is left, and has been for a while."""
    mails_alone_since = None
    while time.monotonic() < ends:
        try:
            await invariants.until_quiet(environment.fleet.description, 1)
            return False
        except TimeoutError:
            left = await invariants.waiting_for(environment.fleet.description)
        if set(left) != {"notifier.intents"}:
            mails_alone_since = None
        elif mails_alone_since is None:
            mails_alone_since = time.monotonic()
        elif time.monotonic() - mails_alone_since > MAILS_ALONE_SECONDS:
            return True
    await invariants.until_quiet(environment.fleet.description, 1)  # says what is left
    return False


async def _release_mails(environment: Environment) -> None:
    """A mail whose mark got lost is leased for two minutes; that is known, so it is not waited for each time."""
    environment.progress.note("mails wait for the lease of a worker that lost them: released")
    async with environment.db() as db:
        await db.execute("update notifier.intents set leased_until = now() where done_at is null")


async def _ungranted(environment: Environment) -> int:
    async with environment.db() as db:
        return int(
            await db.fetchval(
                "select count(*) from payment.payments where order_id = any($1) and paid_at is null",
                environment.history.paid_orders,
            )
        )
