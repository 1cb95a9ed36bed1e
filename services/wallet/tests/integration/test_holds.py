"""Holds against a real Postgres: over gRPC, and ended from the queues."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio
from asyncpg import CheckViolationError, PostgresError

from commdesk.payment.v1 import disputes_pb2, payment_pb2, refunds_pb2
from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import grpc_client, ids
from common.clock import FakeClock
from common.database import Database, Tx
from common.envelopes import ERROR_CODE
from common.guards import HOLD_STATE, OPERATION_KEY, Guards
from common.testing import Served, delivery, published
from wallet.domain.holds import Hold, HoldRequest, HoldState, SpentCredits
from wallet.domain.operations import Grant
from wallet.domain.wallets import Wallet
from wallet.store import queries
from wallet.use_cases import credits, holds, wallets

from .. import builders as make
from ..oracle import violations

ASHA = pb.Owner(merchant_id="mer_commdesk", kind="USER", id="usr_asha")
Arrives = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture
async def bought(db: Database, clock: FakeClock) -> Grant:
    """The ₹500 pack, granted."""
    grant = make.grant()
    async with db.begin() as tx:
        await credits.grant_credits(tx, clock, [grant])
    return grant


@pytest.fixture
def payment(wallet: Served) -> WalletServiceStub:
    return WalletServiceStub(wallet.channel("payment"))


@pytest.fixture
def operator(wallet: Served) -> WalletServiceStub:
    return WalletServiceStub(wallet.channel("operator"))


@pytest.fixture
def arrives(wallet: Served) -> Arrives:
    async def arrive(queue: str, *events: Any) -> None:
        await wallet.deliver(queue, [delivery([event]) for event in events])

    return arrive


def item(of: Grant, refund_id: str, paid: int = 5000, bonus: int = 500, **changes: Any) -> pb.HoldRequest:
    fields: dict[str, Any] = {
        "operation_key": f"refund:{refund_id}",
        "owner": ASHA,
        "payment_id": of.source_id,
        "credits_paid": paid,
        "credits_bonus": bonus,
        "policy": pb.SPENT_CREDITS_DEBT,
    }
    return pb.HoldRequest(**fields | changes)


def refund_id() -> str:
    return ids.encode("rfd", ids.new())


def event(kind: Any, of: Grant, refund: str, hold_id: str) -> Any:
    return kind(
        event_id=ids.encode("evt", ids.new()),
        payment=payment_pb2.Payment(payment_id=of.source_id, merchant_id="mer_commdesk"),
        refund=refunds_pb2.Refund(refund_id=refund, hold_id=hold_id),
    )


def dispute_event(kind: Any, of: Grant, dispute: str, hold_id: str) -> Any:
    return kind(
        event_id=ids.encode("evt", ids.new()),
        payment=payment_pb2.Payment(payment_id=of.source_id, merchant_id="mer_commdesk"),
        dispute=disputes_pb2.Dispute(dispute_id=dispute, hold_id=hold_id),
    )


async def spend(db: Database, clock: FakeClock, credits_spent: int) -> None:
    await credits.consume_credits(db, clock, [make.consumption(credits_spent)])


async def asha(db: Database) -> Wallet:
    async with db.begin() as tx:
        return (await queries.wallets_of(tx, [make.owner()]))[make.owner()]


async def announced(db: Database) -> Counter[str]:
    return Counter(key for key, _ in await published(db))


async def held(stub: WalletServiceStub, *items: pb.HoldRequest) -> list[pb.Hold]:
    results = (await stub.HoldCredits(pb.HoldCreditsRequest(items=items), timeout=5)).results
    assert not [result.error for result in results if result.HasField("error")]
    return [result.hold for result in results]


async def dead_letters(db: Database) -> list[str]:
    """Error codes of what is on its way to a retry tier or to the dead letters."""
    async with db.begin() as tx:
        sent = await tx.execute("select headers from outbox where headers is not null")
        return sorted(dict(row.headers)[ERROR_CODE] for row in sent)


# ── Holding ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_hold_locks_the_payments_credits_and_says_so(
    payment: WalletServiceStub, bought: Grant, db: Database
) -> None:
    [hold] = await held(payment, item(bought, refund_id()))
    assert (hold.credits_paid, hold.credits_bonus, hold.missing_paid, hold.missing_bonus) == (5000, 500, 0, 0)
    assert (hold.value.minor, hold.value.currency, hold.state) == (42_373, "INR", "HELD")
    wallet = await asha(db)
    assert (wallet.available, wallet.locked) == (0, 5500)
    [locked] = [event for key, event in await published(db) if key == "wallet.locked"]
    assert (locked.hold_id, locked.payment_id) == (hold.hold_id, bought.source_id)
    assert (locked.credits_paid, locked.credits_bonus, locked.balance_after, locked.seq) == (5000, 500, 0, 2)
    assert await violations(db) == []


async def test_each_item_has_its_own_result_and_a_repeated_key_the_first(
    payment: WalletServiceStub, bought: Grant, db: Database, clock: FakeClock
) -> None:
    await spend(db, clock, 5000)
    key = refund_id()
    items = [
        item(bought, key, 100, 0),
        item(bought, refund_id(), policy=pb.SPENT_CREDITS_BLOCK),
        item(bought, key, 100, 0),
        item(bought, key, 101, 0),
        item(bought, refund_id(), payment_id="pay_1"),
        item(bought, refund_id(), policy=pb.SPENT_CREDITS_UNSPECIFIED),
        item(bought, refund_id(), payment_id=ids.encode("pay", ids.new())),
        item(bought, "rfd_1"),
    ]
    results = (await payment.HoldCredits(pb.HoldCreditsRequest(items=items), timeout=5)).results
    assert results[0].hold == results[2].hold
    assert [result.error.code for result in results if result.HasField("error")] == [
        "wallet_credits_spent",
        "operation_key_reused",
        "id_invalid",
        "hold_invalid",
        "wallet_grant_pending",
        "hold_invalid",
    ]
    repeated = await payment.HoldCredits(pb.HoldCreditsRequest(items=items[:1]), timeout=5)
    assert repeated.results[0].hold == results[0].hold
    assert (await asha(db)).locked == 100
    assert await violations(db) == []


async def test_requests_at_once_never_hold_a_credit_twice(
    payment: WalletServiceStub, bought: Grant, db: Database
) -> None:
    requests = [pb.HoldCreditsRequest(items=[item(bought, refund_id(), 400, 40)]) for _ in range(20)]
    responses = await asyncio.gather(*(payment.HoldCredits(request, timeout=10) for request in requests))
    found = [response.results[0].hold for response in responses]
    assert sum(hold.credits_paid for hold in found) == 5000
    assert sum(hold.credits_bonus for hold in found) == 500
    assert sum(hold.value.minor for hold in found) == 42_373
    assert (await asha(db)).locked == 5500
    assert await violations(db) == []


async def test_a_preview_answers_the_same_and_reserves_nothing(
    payment: WalletServiceStub, bought: Grant, db: Database, clock: FakeClock
) -> None:
    await spend(db, clock, 600)
    items = [item(bought, "", operation_key=""), item(bought, "", operation_key="", policy=pb.SPENT_CREDITS_BLOCK)]
    debt, block = (await payment.PreviewHolds(pb.PreviewHoldsRequest(items=items), timeout=5)).results
    assert (debt.hold.credits_paid, debt.hold.missing_paid, debt.hold.missing_bonus) == (4900, 100, 500)
    assert (debt.hold.hold_id, debt.hold.state) == ("", "")
    assert block.error.code == "wallet_credits_spent"
    assert (await asha(db)).locked == 0
    [hold] = await held(payment, item(bought, refund_id()))
    assert hold.value == debt.hold.value


async def test_only_payment_may_hold(wallet: Served, bought: Grant) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await WalletServiceStub(wallet.channel("community-api")).HoldCredits(pb.HoldCreditsRequest(), timeout=5)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_call_holds_a_bounded_number(payment: WalletServiceStub, bought: Grant) -> None:
    too_many = pb.HoldCreditsRequest(items=[item(bought, refund_id(), 1, 0)] * 501)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await payment.HoldCredits(too_many, timeout=5)
    assert grpc_client.errors_from(refused.value).code == "limit_exceeded"


# ── Ending ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_takes_the_credits_once_however_often_it_is_announced(
    payment: WalletServiceStub, arrives: Arrives, bought: Grant, db: Database
) -> None:
    key = refund_id()
    [hold] = await held(payment, item(bought, key))
    refunded = event(refunds_pb2.PaymentRefunded, bought, key, hold.hold_id)
    again = event(refunds_pb2.PaymentRefunded, bought, key, hold.hold_id)
    await arrives("wallet.debit", refunded, again)
    await arrives("wallet.debit", refunded)
    wallet = await asha(db)
    assert (wallet.available, wallet.locked, wallet.debt) == (0, 0, 0)
    assert await announced(db) == {"wallet.credited": 1, "wallet.locked": 1, "wallet.reversed": 1}
    assert await dead_letters(db) == []
    assert await violations(db) == []


async def test_a_failed_refund_gives_the_credits_back(
    payment: WalletServiceStub, arrives: Arrives, bought: Grant, db: Database, clock: FakeClock
) -> None:
    key = refund_id()
    [hold] = await held(payment, item(bought, key, 1000, 100))
    await spend(db, clock, 50)
    await arrives("wallet.credit", event(refunds_pb2.RefundFailed, bought, key, hold.hold_id))
    wallet = await asha(db)
    assert (wallet.available, wallet.locked) == (5450, 0)
    assert (await announced(db))["wallet.released"] == 1
    assert await violations(db) == []


@pytest.mark.parametrize("reversed_first", [False, True])
async def test_a_reversed_refund_grants_again_in_any_order(
    payment: WalletServiceStub,
    operator: WalletServiceStub,
    arrives: Arrives,
    bought: Grant,
    db: Database,
    clock: FakeClock,
    reversed_first: bool,
) -> None:
    await spend(db, clock, 600)
    key = refund_id()
    [hold] = await held(payment, item(bought, key))
    steps = [
        ("wallet.debit", event(refunds_pb2.PaymentRefunded, bought, key, hold.hold_id)),
        ("wallet.credit", event(refunds_pb2.RefundReversed, bought, key, hold.hold_id)),
    ]
    for queue, message in reversed(steps) if reversed_first else steps:
        await arrives(queue, message)
        assert await violations(db) == []
    wallet = await asha(db)
    assert (wallet.available, wallet.locked, wallet.debt) == (4900, 0, 0)
    events = [event for key, event in await published(db) if key == "wallet.credited"]
    assert (events[1].payment_id, events[1].operation_key) == (bought.source_id, f"regrant:{key}")
    request = pb.ListPaymentGrantsRequest(payment_ids=[bought.source_id, ids.encode("pay", ids.new())])
    [grant] = (await operator.ListPaymentGrants(request, timeout=5)).grants
    assert (grant.credits_paid, grant.credits_bonus, grant.value.minor, grant.grants) == (5000, 500, 42_373, 1)
    assert (grant.granted_again, grant.reversed) == (4900, 4900)


async def test_a_won_dispute_releases_and_a_lost_one_takes(
    payment: WalletServiceStub, arrives: Arrives, bought: Grant, db: Database
) -> None:
    won, lost = (ids.encode("dsp", ids.new()) for _ in range(2))
    first, second = await held(
        payment,
        item(bought, "", 1000, 100, operation_key=f"dispute:{won}", policy=pb.SPENT_CREDITS_ABSORB),
        item(bought, "", 2000, 200, operation_key=f"dispute:{lost}", policy=pb.SPENT_CREDITS_ABSORB),
    )
    await arrives("wallet.debit", dispute_event(disputes_pb2.PaymentDisputeWon, bought, won, first.hold_id))
    await arrives("wallet.debit", dispute_event(disputes_pb2.PaymentDisputeLost, bought, lost, second.hold_id))
    wallet = await asha(db)
    assert (wallet.available, wallet.locked, wallet.debt) == (3300, 0, 0)
    assert await violations(db) == []


async def test_a_refund_that_held_nothing_has_no_effect(arrives: Arrives, bought: Grant, db: Database) -> None:
    await arrives("wallet.debit", event(refunds_pb2.PaymentRefunded, bought, refund_id(), ""))
    assert await dead_letters(db) == []
    assert (await asha(db)).available == 5500


async def test_what_contradicts_a_hold_becomes_a_dead_letter(
    payment: WalletServiceStub, arrives: Arrives, bought: Grant, db: Database
) -> None:
    key = refund_id()
    [hold] = await held(payment, item(bought, key))
    await arrives("wallet.credit", event(refunds_pb2.RefundFailed, bought, key, hold.hold_id))
    await arrives("wallet.debit", event(refunds_pb2.PaymentRefunded, bought, key, hold.hold_id))
    await arrives("wallet.debit", event(refunds_pb2.PaymentRefunded, bought, refund_id(), hold.hold_id))
    await arrives("wallet.debit", event(refunds_pb2.PaymentRefunded, bought, key, "hld_1"))
    assert await dead_letters(db) == ["hold_closed", "hold_mismatched", "id_invalid"]
    assert (await asha(db)).available == 5500
    assert await violations(db) == []


# ── Debt ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def owing(db: Database, clock: FakeClock, bought: Grant, spent: int) -> None:
    """All of *bought* refunded after *spent* credits of it were spent."""
    await spend(db, clock, spent)
    request = make.hold(bought)
    [hold] = await holds.hold_credits(db, clock, [request])
    assert isinstance(hold, Hold)
    async with db.begin() as tx:
        await holds.end_holds(tx, clock, [make.outcome(hold.id, request, HoldState.CONSUMED)])


async def test_the_next_grant_pays_the_debt_in_its_own_transaction(
    db: Database, clock: FakeClock, bought: Grant
) -> None:
    await owing(db, clock, bought, 600)
    assert (await asha(db)).debt == 600
    async with db.begin() as tx:
        await credits.grant_credits(tx, clock, [make.grant(paid=100, bonus=0, net=847), make.grant()])
    wallet = await asha(db)
    assert (wallet.available, wallet.debt) == (5000, 0)
    settled = [event for key, event in await published(db) if key == "wallet.debt.settled"]
    assert [(event.credits_paid, event.credits_bonus, event.credits_forgiven) for event in settled] == [
        (100, 0, 0),
        (0, 500, 0),
    ]
    assert settled[0].value.minor == 847
    assert await violations(db) == []


async def test_a_plain_grant_asks_for_no_debts(
    db: Database, clock: FakeClock, bought: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    execute = Tx.execute

    async def recorded(tx: Tx, sql: str, **params: Any) -> Any:
        statements.append(sql)
        return await execute(tx, sql, **params)

    monkeypatch.setattr(Tx, "execute", recorded)
    async with db.begin() as tx:
        await credits.grant_credits(tx, clock, [make.grant()])
        await credits.move_credits(tx, clock, [make.consumption(1)])
    assert statements
    assert [sql for sql in statements if "from debts" in sql or "from holds" in sql] == []


async def test_an_operator_forgives_a_debt_once_with_a_reason(
    operator: WalletServiceStub, db: Database, clock: FakeClock, bought: Grant
) -> None:
    await owing(db, clock, bought, 600)
    wrong = pb.DebtForgiveness(idempotency_key="k", owner=ASHA, credits=5, reason="", actor="mira")
    right = pb.DebtForgiveness(idempotency_key="k", owner=ASHA, credits=250, reason="goodwill", actor="operator:mira")
    for _ in range(2):
        refused, done = (await operator.ForgiveDebts(pb.ForgiveDebtsRequest(items=[wrong, right]), timeout=5)).results
        assert dict(refused.error.fields).keys() == {"reason", "actor"}
        assert (done.transaction.type, done.transaction.debt) == (pb.TRANSACTION_TYPE_DEBT, -250)
    [wallet] = (await operator.GetWallets(pb.GetWalletsRequest(owners=[ASHA]), timeout=5)).wallets
    assert wallet.debt == 350
    events = await published(db)
    [settled] = [event for key, event in events if key == "wallet.debt.settled"]
    assert (settled.credits_forgiven, settled.actor_id) == (250, "operator:mira")
    [audited] = [event for key, event in events if key == "audit.recorded"]
    assert (audited.action, audited.actor_id) == ("wallet.debt.forgive", "operator:mira")
    assert (audited.before_json, "goodwill" in audited.after_json) == ('{"debt":600,"seq":4}', True)
    assert await violations(db) == []


# ── What the schema says ──────────────────────────────────────────────────────────────────────────────────────────


async def test_totals_of_transactions_and_of_tables_are_the_same(db: Database, clock: FakeClock, bought: Grant) -> None:
    other = make.grant()
    async with db.begin() as tx:
        await credits.grant_credits(tx, clock, [other])
    [_] = await holds.hold_credits(db, clock, [make.hold(other, 100, 10)])
    await owing(db, clock, bought, 600)
    async with db.begin() as tx:
        whole, recent = await wallets.totals(tx), await wallets.recent_totals(tx)
    assert {name: whole[name] for name in recent} == recent
    assert (whole["wallets.locked"], whole["wallets.mismatched"], whole["wallets.negative"]) == (110, 0, 0)
    assert whole["lots.value_minor"] + whole["holds.value_minor"] + whole["consumed.value_minor"] <= 2 * 42_373
    assert whole["reversed.credits"] + whole["wallets.debt"] == 5500
    async with db.begin() as tx:
        assert await wallets.check_balances(tx, [(await asha(db)).id]) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update credit_lots set remaining = granted, value_left_minor = value_minor, held = 1",
        "update credit_lots set held = -1",
        "update credit_lots set held_value_minor = 1 where held = 0",
        "update wallets set debt = -1",
        "update holds set credits_paid = 0, credits_bonus = 0",
        "update holds set policy = 'BLOCK', missing_paid = 1",
        "update debts set forgiven = credits + 1",
    ],
)
async def test_the_schema_refuses_what_the_domain_never_does(
    db: Database, clock: FakeClock, bought: Grant, statement: str
) -> None:
    await owing(db, clock, bought, 600)
    with pytest.raises(CheckViolationError):
        async with db.begin() as tx:
            await tx.execute(statement)


# ── The guard ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def ended_twice(db: Database, clock: FakeClock, request: HoldRequest, guards: Guards) -> None:
    [hold] = await holds.hold_credits(db, clock, [request])
    assert isinstance(hold, Hold)
    for _ in range(2):
        async with db.begin() as tx:
            await holds.end_holds(tx, clock, [make.outcome(hold.id, request, HoldState.RELEASED)], guards)


async def test_with_the_state_a_hold_ends_once(db: Database, clock: FakeClock, bought: Grant) -> None:
    await ended_twice(db, clock, make.hold(bought, 100, 10), Guards.all())
    assert (await asha(db)).available == 5500
    assert await violations(db) == []


async def test_without_the_state_the_schema_alone_keeps_a_hold_from_ending_twice(
    db: Database, clock: FakeClock, bought: Grant
) -> None:
    with pytest.raises(PostgresError):
        await ended_twice(db, clock, make.hold(bought, 100, 10), Guards.all().without(HOLD_STATE, OPERATION_KEY))


async def test_without_the_state_and_beside_another_hold_credits_come_back_twice(
    db: Database, clock: FakeClock, bought: Grant
) -> None:
    await holds.hold_credits(db, clock, [make.hold(bought, 1000, 100, SpentCredits.ABSORB)])
    await ended_twice(db, clock, make.hold(bought, 100, 10), Guards.all().without(HOLD_STATE, OPERATION_KEY))
    assert any("hold something else than is locked" in each for each in await violations(db))
