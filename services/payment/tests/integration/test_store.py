"""What the database itself refuses, and that its hot statements keep to their indexes."""

from typing import Any

import msgspec
import pytest
from asyncpg import PostgresError

from common import idempotency, ids
from common.database import _compiled
from payment import domain, store
from payment.domain import CaptureStatus, Status, Transaction, Transition
from payment.store import changes, queries, rows


async def stored(db: Any, build: Any, **fields: Any) -> Any:
    payment = build.payment(Status.CREATED, id=ids.new(), **fields)
    async with db.begin() as tx:
        await store.insert(tx, [payment])
        await store.add_history(tx, [domain.first_line(payment)])
    return payment


async def test_a_payment_comes_back_as_it_went_in(db: Any, build: Any) -> None:
    payment = await stored(
        db, build, metadata={"a": "ü", "b": 7, "c": True}, description="'); drop table payments; --", fraud_score=3
    )
    async with db.begin() as tx:
        assert await store.by_ids(tx, [payment.id]) == [payment]
        changed = msgspec.structs.replace(
            payment, status=Status.PENDING, seq=2, session_id="session_1", cancel_requested=True, checks=4
        )
        await store.save(tx, [changed])
        assert (await store.lock_orders(tx, [("mer_commdesk", payment.order_id)])).popitem()[1] == changed
        assert await store.by_order(tx, "mer_other", payment.order_id) is None


@pytest.mark.parametrize(
    "sql",
    [
        "update payments set amount_minor = 0",
        "update payments set amount_minor = -5",
        "update payments set net_minor = net_minor + 1",
        "update payments set cgst_minor = -1",
        "update payments set currency = 'rupees'",
        "update payments set status = 'PAID'",
        "update payments set status = 'SUCCESS', seq = 2",
        "update payments set platform_fee_minor = amount_minor + 1",
        "update payments set refund_amount_minor = amount_minor + 1",
        "update payments set expires_at = created_at",
        "update payments set order_id = 'a b'",
        "update payment_history set reason = 'another'",
        "delete from payment_history",
        "truncate payment_history",
        "delete from invoices",
        "insert into payment_history select payment_id, 2, 'CREATED', 'REFUNDED', '', '', now() from payment_history",
        "insert into payment_history select payment_id, 2, 'PENDING', 'CREATED', '', '', now() from payment_history",
        "insert into payment_history select payment_id, 2, null, 'CREATED', '', '', now() from payment_history",
        "insert into payment_history select payment_id, 1, null, 'CREATED', '', '', now() from payment_history",
        "drop table payments",
        "alter table payment_history disable trigger all",
    ],
)
async def test_the_database_refuses(db: Any, build: Any, sql: str) -> None:
    await stored(db, build)
    with pytest.raises(PostgresError):
        async with db.begin() as tx:
            await tx.execute(sql)


async def test_a_move_is_recorded_once(db: Any, build: Any) -> None:
    payment = await stored(db, build)
    line = Transition(payment.id, 2, Status.CREATED, Status.PENDING, "order_created", "x", build.now)
    async with db.begin() as tx:
        await store.add_history(tx, [line])
    with pytest.raises(PostgresError):
        async with db.begin() as tx:
            await store.add_history(tx, [line])


async def test_a_payment_is_captured_once(db: Any, build: Any) -> None:
    payment = await stored(db, build)

    def taken(gateway_payment_id: str, status: CaptureStatus = CaptureStatus.CAPTURED) -> Transaction:
        claim = build.claim(gateway_payment_id=gateway_payment_id)
        return Transaction(ids.new(), payment.id, claim, status, build.now)

    async with db.begin() as tx:
        await store.add_transactions(tx, [(payment, taken("cf_1")), (payment, taken("cf_2", CaptureStatus.DUPLICATE))])
    for again in (taken("cf_1"), taken("cf_3"), taken("cf_2", CaptureStatus.DUPLICATE)):
        with pytest.raises(PostgresError):
            async with db.begin() as tx:
                await store.add_transactions(tx, [(payment, again)])


async def test_attempts_only_climb(db: Any, build: Any) -> None:
    payment = await stored(db, build)
    states = domain.AttemptStatus
    seen = []
    for status in (states.PENDING, states.FAILED, states.PENDING, states.SUCCESS, states.FAILED, states.SUCCESS):
        async with db.begin() as tx:
            seen.append(bool(await store.climb_attempts(tx, [(payment, build.claim(status))], build.now)))
            [row] = (await tx.execute("select status from payment_attempts")).all()
    assert seen == [True, True, False, True, False, False]
    assert row.status == "SUCCESS"


PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "lock": (changes._LOCK, {"ids": [ids.new()]}),
    "lock_orders": (changes._LOCK_ORDERS, {"merchants": ["mer_commdesk"], "orders": ["x"]}),
    "captures": (changes._CAPTURES, {"ids": [ids.new()]}),
    "invoiced": (changes._INVOICED, {"ids": [ids.new()]}),
    "by_order": (queries._BY_ORDER, {"merchant_id": "mer_commdesk", "order_id": "x"}),
    "history_of": (queries._HISTORY_OF, {"id": ids.new()}),
}


HOT = PLANS | {
    "save": (rows.SAVE, {}),
    "known keys": (idempotency._READ, {}),
    "completed keys": (idempotency._COMPLETE, {}),
}
# What the planner falls for while a table is small, and what reads all of it for every batch once it is not.
SWEEPING = ("Seq Scan on", "Merge Join", "Hash Join", "Materialize")


@pytest.mark.parametrize("population", [0, 300])
@pytest.mark.parametrize("name", HOT)
async def test_a_plan_made_early_probes_for_each_item(db: Any, build: Any, name: str, population: int) -> None:
    """The plan that a connection keeps: made for any arguments, when there were few rows and no statistics."""
    numbered, names = _compiled(HOT[name][0])
    async with db.begin() as tx:
        payments = [build.payment(Status.CREATED, id=ids.new(), order_id=f"o-{n}") for n in range(population)]
        await store.insert(tx, payments)
        await tx.connection.driver.execute(f"prepare hot as {numbered}")
        arguments = f"({', '.join('null' for _ in names)})" if names else ""
        kept = await tx.connection.driver.fetch(f"explain execute hot{arguments}")
        await tx.connection.driver.execute("deallocate hot")
    plan = "\n".join(row[0] for row in kept)
    assert not any(each in plan for each in SWEEPING), plan
    if name in ("lock_orders", "by_order"):
        # An index that fits in part would read all payments of a merchant and throw them away.
        assert "Filter:" not in plan, plan


@pytest.mark.parametrize("name", PLANS)
async def test_a_fresh_database_plans_like_a_full_one(db: Any, build: Any, name: str) -> None:
    """The trap is a plan made while the tables are empty; no hot statement may fall back to reading whole tables."""
    sql, parameters = PLANS[name]
    async with db.begin() as tx:
        payments = [
            msgspec.structs.replace(build.payment(Status.CREATED), id=ids.new(), order_id=f"o-{number}")
            for number in range(2_000)
        ]
        await store.insert(tx, payments)
        await store.add_history(tx, [domain.first_line(payment) for payment in payments])
        pairs = [(payment, build.claim(gateway_payment_id=str(n))) for n, payment in enumerate(payments)]
        await store.climb_attempts(tx, pairs, build.now)
        taken = [
            (payment, Transaction(ids.new(), payment.id, claim, CaptureStatus.CAPTURED, build.now))
            for payment, claim in pairs
        ]
        await store.add_transactions(tx, taken)
        plan = "\n".join((await tx.execute(f"explain {sql}", **parameters)).scalars())
    if name != "invoiced":  # nothing is in that table here
        assert "Seq Scan on payment" not in plan, plan
        assert "Seq Scan on transactions" not in plan, plan
