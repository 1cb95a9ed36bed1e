"""M: credits that are spent twice at once, and books that somebody would change."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg

from ops import journey
from ops.faults.ground import Ground
from ops.faults.scenario import scenario
from ops.faults.scenarios.webhooks import orders_paid

APPEND_ONLY = (
    ("wallet", "wallet_transactions"),
    ("wallet", "operation_keys"),
    ("ledger", "journals"),
    ("ledger", "ledger_entries"),
    ("payment", "payment_history"),
    ("payment", "invoices"),
)


@scenario("M39-two-debits-one-balance", must="exactly one of the two goes through")
async def _(ground: Ground) -> AsyncIterator[None]:
    """Ten members with 5,500 credits spend 3,000 twice at the same moment."""
    made = await orders_paid(ground, 10, "success")
    ground.history.paid_orders += [created.order_id for created in made]
    yield

    async def spend(user_id: str) -> bool:
        try:
            await journey.consume(ground.fleet, user_id, 3000, f"debit-{secrets.token_hex(8)}")
        except journey.StepFailed:
            return False
        return True

    for created in made:
        user = created.member.user_id
        went = await asyncio.gather(spend(user), spend(user))
        ground.expect(sorted(went) == [False, True], f"one of two debits of {user} (was {went})")


@scenario("M40-one-key-from-many-sides", must="one transaction, and all are answered with it")
async def _(ground: Ground) -> None:
    """Each member with credits spends under one key ten times at once."""
    for member in ground.spenders:
        key = f"one-key-{secrets.token_hex(8)}"
        done = await asyncio.gather(*(journey.consume(ground.fleet, member.user_id, 1, key) for _ in range(10)))
        ground.expect(len({each.transaction_id for each in done}) == 1, f"one transaction for {key}")
        ground.history.consumed[key] = done[0].transaction_id


@scenario("M50-books-changed", must="refused by the database to the service's own role", random=False)
async def _(ground: Ground) -> None:
    """Each service's role tries to change and to delete what it wrote for ever."""
    for schema, table in APPEND_ONLY:
        known = ground.fleet.description["postgresql"]
        role = await asyncpg.connect(
            host=known["host"],
            port=known["port"],
            user=schema,
            password=ground.stack.credentials.database[schema],
            database=known["database"],
        )
        try:
            column = await role.fetchval(
                "select attname from pg_attribute where attrelid = $1::text::regclass and attnum = 1", table
            )
            for statement in (f"delete from {table}", f"update {table} set {column} = {column}"):
                try:
                    await role.execute(statement)
                    ground.expect(False, f"{statement!r} is refused to {schema}")
                except (asyncpg.InsufficientPrivilegeError, asyncpg.RaiseError):
                    pass
        finally:
            await role.close()
