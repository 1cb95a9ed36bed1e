"""What the database itself refuses, and that its hot statements keep to their indexes."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest
from asyncpg import PostgresError

from common import idempotency, ids
from common.database import Database, Rows, Tx
from common.idempotency import Completion, Key
from common.money import Money
from gateways import AttemptStatus
from payment.domain.decisions import Correction, Decision, Transaction
from payment.domain.orders import OrderKey
from payment.domain.payments import Payment, Transition
from payment.domain.purchases import initial_transition
from payment.domain.receipts import Receipt, ReceiptReason
from payment.domain.review_queue import ReviewFilter
from payment.domain.states import CaptureStatus, Status
from payment.store import closed_checks, commands, confirmations, queries, receipts, review_queue
from payment.store.closed_checks import DueCheck
from payment.store.gateway_calls import delete_old_calls
from payment.store.invoices import invoiced

from ..builders import Builders

Build = type[Builders]


async def stored(db: Database, build: Build, **fields: Any) -> Payment:
    payment = build.payment(Status.CREATED, id=ids.new(), **fields)
    async with db.begin() as tx:
        await commands.insert_payments(tx, [payment])
        await commands.add_history(tx, [initial_transition(payment)])
    return payment


async def test_a_payment_comes_back_as_it_went_in(db: Database, build: Build) -> None:
    payment = await stored(
        db,
        build,
        metadata={"a": "ü", "b": 7, "c": True, "d": {"e": [19.99, None, {"f": -1e15}]}},
        description="'); drop table payments; --",
        fraud_score=3,
    )
    async with db.begin() as tx:
        assert await queries.payments_by_id(tx, [payment.id]) == [payment]
        changed = msgspec.structs.replace(
            payment, status=Status.PENDING, seq=2, session_id="session_1", cancel_requested=True, checks=4
        )
        await commands.save_payments(tx, [changed])
        assert (await commands.lock_orders(tx, [payment.order_key])).popitem()[1] == changed
        assert await queries.payment_by_order(tx, "mer_other", payment.order_id) is None


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
        "update payments set gateway_account_id = null",
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
async def test_the_database_refuses(db: Database, build: Build, sql: str) -> None:
    await stored(db, build)
    with pytest.raises(PostgresError):
        async with db.begin() as tx:
            await tx.execute(sql)


async def test_a_move_is_recorded_once(db: Database, build: Build) -> None:
    payment = await stored(db, build)
    line = Transition(payment.id, 2, Status.CREATED, Status.PENDING, "order_created", "x", build.now)
    async with db.begin() as tx:
        await commands.add_history(tx, [line])
    with pytest.raises(PostgresError):
        async with db.begin() as tx:
            await commands.add_history(tx, [line])


async def test_a_payment_is_captured_once(db: Database, build: Build) -> None:
    payment = await stored(db, build)

    def captured(gateway_payment_id: str, status: CaptureStatus = CaptureStatus.CAPTURED) -> Transaction:
        attempt = build.attempt(gateway_payment_id=gateway_payment_id)
        return Transaction(ids.new(), attempt, status, build.now)

    async def add(*transactions: Transaction) -> None:
        async with db.begin() as tx:
            pairs = [(payment, transaction) for transaction in transactions]
            await commands.add_transactions(tx, pairs, build.now, build.now)

    await add(captured("cf_1"), captured("cf_2", CaptureStatus.DUPLICATE))
    for again in (captured("cf_1"), captured("cf_3"), captured("cf_2", CaptureStatus.DUPLICATE)):
        with pytest.raises(PostgresError):
            await add(again)


async def test_a_false_claim_does_not_block_the_capture_of_another_payment(db: Database, build: Build) -> None:
    """A webhook about one payment names the attempt that paid another."""
    robbed, true = [await stored(db, build, order_id=f"ord_{number}") for number in (1, 2)]
    attempt = build.attempt()
    for payment, confirmed in ((robbed, False), (true, True)):
        transaction = Transaction(ids.new(), attempt, CaptureStatus.CAPTURED, build.now, confirmed)
        async with db.begin() as tx:
            await commands.record_attempts(tx, [Decision(payment, [attempt], listed=confirmed)], build.now)
            await commands.add_transactions(tx, [(payment, transaction)], build.now, build.now)
    async with db.begin() as tx:
        [row] = (await tx.execute("select payment_id, confirmed_at from payment_attempts")).all()
        assert tuple(row) == (true.id, build.now)
        captured = await commands.recorded_captures(tx, [robbed.id, true.id])
        assert {payment_id: by_id["cf_1"] for payment_id, by_id in captured.items()} == {
            robbed.id: False,
            true.id: True,
        }
        # What is listed is not taken away by another claim, not even in the same batch.
        both = [Decision(true, [attempt], listed=True), Decision(robbed, [attempt])]
        await commands.record_attempts(tx, both, build.now)
        [row] = (await tx.execute("select payment_id from payment_attempts")).all()
        assert row.payment_id == true.id


async def test_the_status_of_an_attempt_only_rises(db: Database, build: Build) -> None:
    payment = await stored(db, build)
    states = AttemptStatus
    changes = []
    for status in (states.PENDING, states.FAILED, states.PENDING, states.SUCCESS, states.FAILED, states.SUCCESS):
        async with db.begin() as tx:
            claimed = Decision(payment, [build.attempt(status)])
            changes.append(bool(await commands.record_attempts(tx, [claimed], build.now)))
            [row] = (await tx.execute("select status from payment_attempts")).all()
    assert changes == [True, True, False, True, False, False]
    assert row.status == "SUCCESS"
    # The gateway's own list stands against claims, and against nothing else does a status fall.
    for status, listed, becomes in (
        (states.PENDING, True, "PENDING"),
        (states.FAILED, False, "FAILED"),
        (states.SUCCESS, True, "SUCCESS"),
        (states.PENDING, True, "SUCCESS"),
        (states.FAILED, False, "SUCCESS"),
    ):
        async with db.begin() as tx:
            await commands.record_attempts(tx, [Decision(payment, [build.attempt(status)], listed=listed)], build.now)
            [row] = (await tx.execute("select status from payment_attempts")).all()
        assert row.status == becomes


class Recorder(Tx):
    """Records statements instead of running them, so that their plans can be looked at."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, dict[str, Any]]] = []
        self.contexts: dict[str, bytes] = {}

    async def execute(self, sql: str, **params: Any) -> Rows:
        self.statements.append((sql, params))
        return Rows()

    async def write(self, table: str, sql: str = "", /, **params: Any) -> None:
        self.statements.append((sql, params))


Use = Callable[[Tx], Awaitable[object]]
KEY = Key("mer_commdesk", "usr_1", "payments.create", "key")

RECEIPT = Receipt(
    id=ids.new(),
    payment_id=ids.new(),
    merchant_id="mer_commdesk",
    gateway="cashfree",
    gateway_payment_id="cf_2",
    reason=ReceiptReason.DUPLICATE,
    amount=Money(50_000),
    received_at=Builders.now,
)

PLANS: dict[str, Use] = {
    "lock_payments": lambda tx: commands.lock_payments(tx, [ids.new()]),
    "lock_orders": lambda tx: commands.lock_orders(tx, [OrderKey("gwa_cashfree", "x")]),
    "captures": lambda tx: commands.recorded_captures(tx, [ids.new()]),
    "invoiced": lambda tx: invoiced(tx, [ids.new()]),
    "payment_by_order": lambda tx: queries.payment_by_order(tx, "mer_commdesk", "x"),
    "transitions_of": lambda tx: queries.transitions_of(tx, ids.new()),
}
CONFIRMED = (Builders.payment(), Correction("cf_1", Builders.attempt()))
REPLACED = (Builders.payment(), Correction("cf_ghost", Builders.attempt()))
HOT: dict[str, Use] = PLANS | {
    "watch": lambda tx: closed_checks.watch(tx, [ids.new()], Builders.now),
    "schedule": lambda tx: closed_checks.schedule(tx, [(DueCheck(ids.new(), 1), Builders.now)]),
    "confirm": lambda tx: confirmations.correct(tx, [CONFIRMED], Builders.now, Builders.now),
    "replace": lambda tx: confirmations.correct(tx, [REPLACED], Builders.now, Builders.now),
    "refund_id_taken": lambda tx: receipts.refund_id_taken(tx, "cashfree", "refund_1"),
    "mark_transaction": lambda tx: receipts.mark_transaction(tx, RECEIPT),
    "end_looks": lambda tx: confirmations.end_looks(tx, [ids.new()], Builders.now),
    "save_payments": lambda tx: commands.save_payments(tx, [Builders.payment()]),
    "payments_by_key": lambda tx: queries.payments_by_key(tx, [KEY]),
    "adopted keys": lambda tx: idempotency.adopt(tx, {KEY: ids.new()}),
    "known keys": lambda tx: idempotency.claim(tx, [idempotency.Claim(KEY, b"", ids.new())]),
    "completed keys": lambda tx: idempotency.complete(tx, [Completion(KEY, ids.new(), 201, b"")]),
}
# What the planner prefers while a table is small, and what reads all of it for every batch once it is not.
SWEEPING = ("Seq Scan on", "Merge Join", "Hash Join", "Materialize")


async def statement(use: Use) -> tuple[str, dict[str, Any]]:
    """The statement that reads or changes rows: the last one that *use* runs."""
    recorder = Recorder()
    await use(recorder)
    return recorder.statements[-1]


@pytest.mark.parametrize("population", [0, 300])
@pytest.mark.parametrize("name", HOT)
async def test_a_plan_made_early_probes_for_each_item(db: Database, build: Build, name: str, population: int) -> None:
    """The plan that a connection keeps: made for any arguments, when there were few rows and no statistics."""
    sql, _ = await statement(HOT[name])
    names: dict[str, int] = {}
    numbered = re.sub(r"(?<![:\w]):([a-z_]+)", lambda each: f"${names.setdefault(each[1], len(names) + 1)}", sql)
    async with db.begin() as tx:
        payments = [build.payment(Status.CREATED, id=ids.new(), order_id=f"o-{n}") for n in range(population)]
        await commands.insert_payments(tx, payments)
        await tx.connection.driver.execute(f"prepare hot as {numbered}")
        arguments = f"({', '.join('null' for _ in names)})" if names else ""
        kept = await tx.connection.driver.fetch(f"explain execute hot{arguments}")
        await tx.connection.driver.execute("deallocate hot")
    plan = "\n".join(row[0] for row in kept)
    assert not any(each in plan for each in SWEEPING), plan
    if name in ("lock_orders", "payment_by_order", "refund_id_taken"):
        # An index that fits in part would read all rows of a merchant, an account or a gateway and throw them away.
        assert "Filter:" not in plan, plan


@pytest.mark.parametrize("name", PLANS)
async def test_a_fresh_database_plans_like_a_full_one(db: Database, build: Build, name: str) -> None:
    """The trap is a plan made while the tables are empty; no hot statement may fall back to reading whole tables."""
    sql, parameters = await statement(PLANS[name])
    async with db.begin() as tx:
        payments = [
            msgspec.structs.replace(build.payment(Status.CREATED), id=ids.new(), order_id=f"o-{number}")
            for number in range(2_000)
        ]
        await commands.insert_payments(tx, payments)
        await commands.add_history(tx, [initial_transition(payment) for payment in payments])
        pairs = [(payment, build.attempt(gateway_payment_id=str(n))) for n, payment in enumerate(payments)]
        await commands.record_attempts(tx, [Decision(payment, [attempt]) for payment, attempt in pairs], build.now)
        transactions = [
            (payment, Transaction(ids.new(), attempt, CaptureStatus.CAPTURED, build.now)) for payment, attempt in pairs
        ]
        await commands.add_transactions(tx, transactions, build.now, build.now)
        plan = "\n".join((await tx.execute(f"explain {sql}", **parameters)).scalars())
    if name != "invoiced":  # nothing is in that table here
        assert "Seq Scan on payment" not in plan, plan
        assert "Seq Scan on transactions" not in plan, plan


async def test_a_page_of_the_review_queue_reads_no_more_than_a_page_of_each_kind(db: Database) -> None:
    """The queue may be long: each of the five sources of the page is limited by itself, and the page as well."""
    filter = ReviewFilter(merchant_id=None, kind=None, before=None, limit=50)
    sql, parameters = await statement(lambda tx: review_queue.queued_payments(tx, filter))
    async with db.begin() as tx:
        plan = "\n".join((await tx.execute(f"explain {sql}", **parameters)).scalars())
    assert plan.count("Limit") == 6, plan


_CALL = """
insert into gateway_calls (id, gateway, gateway_account_id, operation, order_id, http_status, outcome, ms, at)
select uuid_floor(now() - age), 'cashfree', 'gwa_cashfree', cast(age as text), 'order_1', 200, 'ok', 1, now()
from unnest(array[interval '8 days', interval '6 days', interval '1 day']) age
"""


async def test_records_of_gateway_calls_are_kept_as_they_are_for_seven_days(
    db: Database, database_url: str, owner_url: str
) -> None:
    async with db.begin() as tx:
        await tx.execute(_CALL)
    refused = ["update gateway_calls set outcome = 'refused'", "delete from gateway_calls", "truncate gateway_calls"]
    for url in (database_url, owner_url):
        connection = await asyncpg.connect(url)
        try:
            for statement in refused:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()
    async with db.begin() as tx:
        await delete_old_calls(tx)
        kept = (await tx.execute("select operation from gateway_calls order by id")).all()
    assert [row.operation for row in kept] == ["6 days", "1 day"]
