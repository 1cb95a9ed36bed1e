"""M: credits that are spent twice at once, and ledger rows that somebody tries to change."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg

from commdesk.wallet.v1 import wallet_pb2
from ops import journey, virtual_users
from tests.faults.dead_letters import discard
from tests.faults.environment import Environment
from tests.faults.messages import request_consumption, requested
from tests.faults.retry import retry
from tests.faults.scenario import scenario
from tests.faults.scenarios.webhooks import order, orders_paid

# Credits in one command.
ASKED = 100

APPEND_ONLY = (
    ("wallet", "wallet_transactions"),
    ("wallet", "operation_keys"),
    ("ledger", "journals"),
    ("ledger", "ledger_entries"),
    ("payment", "payment_history"),
    ("payment", "invoices"),
)


@scenario("M39-two-debits-one-balance", must="exactly one of the two goes through")
async def _(environment: Environment) -> AsyncIterator[None]:
    """Ten members with 5,500 credits spend 3,000 twice at the same moment."""
    made = await orders_paid(environment, 10, "success")
    environment.history.paid_orders += [created.order_id for created in made]
    yield

    async def spend(user_id: str) -> bool:
        try:
            await journey.consume(environment.fleet, user_id, 3000, f"debit-{secrets.token_hex(8)}")
        except journey.StepFailed:
            return False
        return True

    for created in made:
        user = created.member.user_id
        went = await asyncio.gather(spend(user), spend(user))
        environment.expect(sorted(went) == [False, True], f"one of two debits of {user} (was {went})")


@scenario("M-one-key-from-many-sides", must="one transaction, and all are answered with it")
async def _(environment: Environment) -> None:
    """Each member with credits spends under one key ten times at once."""
    for member in environment.spenders:
        key = f"one-key-{secrets.token_hex(8)}"
        done = await asyncio.gather(*(_spend_one(environment, member.user_id, key) for _ in range(10)))
        environment.expect(len({each.transaction_id for each in done}) == 1, f"one transaction for {key}")
        environment.history.consumed[key] = done[0].transaction_id


async def _spend_one(environment: Environment, user_id: str, key: str) -> wallet_pb2.WalletTransaction:
    return await retry(lambda: journey.consume(environment.fleet, user_id, 1, key))


@scenario(
    "M40-debit-before-credit", must="order is respected: refused before the grant, and done after it", random=False
)
async def _(environment: Environment) -> AsyncIterator[None]:
    """Ten members' credits are asked for by command before they are bought; then bought, and asked for again."""
    members = virtual_users.members(environment.fleet, 10)
    early = {member.user_id: f"early-{secrets.token_hex(8)}" for member in members}
    late = {member.user_id: f"late-{secrets.token_hex(8)}" for member in members}
    await _ask_for_credits(environment, early)
    made = [await order(environment, member) for member in members]
    for created in made:
        await virtual_users.pay_order(environment.fleet, created.order_id)
    environment.history.paid_orders += [created.order_id for created in made]
    await _ask_for_credits(environment, late)
    yield
    for member in members:
        wallet = await journey.wallet(environment.fleet, member.user_id)
        environment.expect(
            wallet.available == 5500 - 2 * ASKED, f"both debits of {member.user_id} ({wallet.available})"
        )
        moves = [move.credits for move in reversed(await journey.transactions(environment.fleet, member.user_id))]
        environment.expect(len(moves) == 3 and moves[0] == 5500, f"first the grant, then the debits (was {moves})")


async def _ask_for_credits(environment: Environment, keys: dict[str, str]) -> None:
    """One envelope of commands to the wallet, as the community API sends them."""
    items = [
        wallet_pb2.Consumption(
            operation_key=key,
            owner=wallet_pb2.Owner(merchant_id=journey.MERCHANT, kind="USER", id=user_id),
            credits=ASKED,
            purpose="platform.boost",
            source_id=key,
        )
        for user_id, key in keys.items()
    ]
    body = requested(*items)
    await request_consumption(environment, body)


@scenario("M52-late-money", must="found and granted without a webhook, once", random=False)
async def _(environment: Environment) -> AsyncIterator[None]:
    """Orders of pending and failed attempts expire; the bank pays them after all, and their webhooks are lost."""
    made = []
    for outcome in ("pending", "failure"):
        made += await orders_paid(environment, 5, outcome)
    for created in made:
        await environment.gateway(action="drop", operation="webhook", order_id=created.order_id)
        if environment.fleet.gateway == "cashfree":
            await environment.fleet.sandbox("POST", f"/control/orders/{created.order_id}/expire", {})
        else:
            # Its orders stay open: the customers give up.
            path = f"/api/v1/payments/{created.payment_id}/cancel"
            await environment.fleet.edge("POST", path, {}, token=created.member.token)
    await retry(lambda: _all_closed(environment, [created.order_id for created in made]))
    for created in made:
        body = {"outcome": "success", "force": True}
        await environment.fleet.sandbox("POST", f"/control/orders/{created.order_id}/pay", body)
    environment.history.paid_orders += [created.order_id for created in made]
    # Until the gateway has decided and would have sent them. Nobody asks: verify is not called.
    await asyncio.sleep(1)
    yield
    async with environment.db() as db:
        late = await db.fetchval(
            "select count(*) from payment.payment_history h join payment.payments p on p.id = h.payment_id"
            " where p.order_id = any($1) and h.to_status = 'SUCCESS' and h.reason = 'late_success'",
            [created.order_id for created in made],
        )
    environment.expect(late == len(made), f"all {len(made)} succeed late (found {late})")


async def _all_closed(environment: Environment, order_ids: list[str]) -> None:
    """Raises while one of the payments is not closed."""
    async with environment.db() as db:
        left = await db.fetchval(
            "select count(*) from payment.payments where order_id = any($1)"
            " and status not in ('FAILED', 'EXPIRED', 'CANCELLED')",
            order_ids,
        )
    if left:
        raise TimeoutError(f"{left} payments are not closed yet")


@scenario("M51-unknown-payment", must="a dead letter with an alert, never a silent credit", random=False)
async def _(environment: Environment) -> AsyncIterator[None]:
    """Somebody pays an order of our account that we never made."""
    order_id = f"theirs_{secrets.token_hex(8)}"
    await virtual_users.make_order_of_others(environment.fleet, order_id)
    environment.orders_of_others += 1
    await virtual_users.pay_order(environment.fleet, order_id)
    yield
    letters = await discard(environment, "payment", "not our order", queue="webhook.processing")
    environment.expect(letters, "it ends in the dead letters")
    async with environment.db() as db:
        known = await db.fetchval("select count(*) from payment.payments where order_id = $1", order_id)
        environment.expect(known == 0, "no payment comes to be")
    alerts = await environment.fleet.mails(to="admin@commdesk.test")
    environment.expect(alerts, "an alert is raised")


@scenario("M50-books-changed", must="refused by the database to the service's own role", random=False)
async def _(environment: Environment) -> None:
    """Each service's role tries to change and to delete what it wrote for ever."""
    for schema, table in APPEND_ONLY:
        known = environment.fleet.description["postgresql"]
        role = await asyncpg.connect(
            host=known["host"],
            port=known["port"],
            user=schema,
            password=environment.stack.credentials.database[schema],
            database=known["database"],
        )
        try:
            column = await role.fetchval(
                "select attname from pg_attribute where attrelid = $1::text::regclass and attnum = 1", table
            )
            for statement in (f"delete from {table}", f"update {table} set {column} = {column}"):
                try:
                    await role.execute(statement)
                    environment.expect(False, f"{statement!r} is refused to {schema}")
                except (asyncpg.InsufficientPrivilegeError, asyncpg.RaiseError):
                    pass
        finally:
            await role.close()
