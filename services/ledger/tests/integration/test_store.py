"""The books against a real Postgres: append-only, zero per journal, once per cause, exact while others post."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest
from asyncpg import PostgresError
from msgspec.structs import astuple, replace

from common import ids, seals
from common.database import Database, connect, retried, sqlstate
from common.seals import is_sealed
from ledger.domain import chart
from ledger.domain.audit import AuditFilter
from ledger.domain.chart import CHART, AccountBalance
from ledger.domain.journals import FinancialEvent
from ledger.store import audit_origins, commands, queries, snapshots
from ledger.use_cases import books
from ledger.wire import audit
from ledger.wire import events as wire

from ..builders import Events

REFUSED, CHECK_VIOLATION = "42501", "23514"
BOOK = ("accounts", "journals", "ledger_entries", "audit_logs")


@retried
async def post(db: Database, *events: Events) -> None:
    decode: dict[str, Callable[[Any], FinancialEvent]] = {
        "PaymentSucceeded": wire.payment_succeeded,
        "PaymentRefunded": wire.payment_refunded,
        "RefundReversed": wire.refund_reversed,
        "PaymentDisputed": wire.payment_disputed,
        "PaymentDisputeWon": wire.payment_dispute_won,
        "PaymentDisputeLost": wire.payment_dispute_lost,
        "SettlementImported": wire.settlement_imported,
        "WalletLocked": wire.wallet_locked,
        "WalletReleased": wire.wallet_released,
        "WalletReversed": wire.wallet_reversed,
        "WalletDebtSettled": wire.wallet_debt_settled,
        "WalletCredited": wire.wallet_credited,
        "WalletDebited": wire.wallet_debited,
    }
    financial_events = [decode[type(event).__name__](event) for event in events]
    async with db.begin() as tx:
        assert await books.post_journals(tx, financial_events) == [None] * len(events)


async def balances(db: Database, merchant_id: str | None = None) -> dict[str, tuple[int, int]]:
    async with db.begin() as tx:
        rows = await queries.trial_balance(tx, merchant_id)
    assert set(chart.out_of_balance(rows).values()) == {0}
    return {row.account: (row.debit, row.credit) for row in rows if row.debit or row.credit}


async def counted(db: Database, table: str) -> int:
    async with db.begin() as tx:
        return int((await tx.execute(f"select count(*) from {table}")).scalar_one())


async def test_the_chart_is_the_seeded_one(db: Database) -> None:
    async with db.begin() as tx:
        rows = (await tx.execute("select account_id, code, asset, kind, normal_side from accounts")).all()
    assert {tuple(row) for row in rows} == {(*astuple(account), chart.NORMAL_SIDE[account.kind]) for account in CHART}


async def test_the_500_rupee_pack_to_the_paisa(db: Database, events: Events) -> None:
    await post(db, events.paid(), events.credited())
    await post(db, events.debited())
    assert await balances(db) == {
        "asset:gateway:cashfree": (50_000, 0),
        "liability:deferred_credits": (4_237, 42_373),
        "liability:gst:cgst": (0, 3_814),
        "liability:gst:sgst": (0, 3_813),
        "revenue:credits": (0, 4_237),
        "issued": (5_500, 0),
        "wallets:paid": (50, 5_000),
        "wallets:bonus": (500, 500),
        "burned": (0, 550),
    }


async def test_a_refund_then_its_reversal_leave_the_books_as_they_were(db: Database, events: Events) -> None:
    paid = events.paid()
    await post(db, paid, events.credited(payment_id=paid.payment.payment_id))
    before = await net_balances(db)
    refunded, payment_id = events.refunded(paid), paid.payment.payment_id
    await post(db, refunded, events.locked(payment_id=payment_id), events.reversed(payment_id=payment_id))
    assert await net_balances(db) == {}
    await post(db, events.refund_reversed(refunded), events.credited(payment_id=payment_id))
    assert await net_balances(db) == before


async def test_a_lost_dispute_costs_the_merchant_what_was_earned_and_the_fee(db: Database, events: Events) -> None:
    paid = events.paid()
    disputed = events.disputed(paid, held=42_000, fee=1_500)
    await post(db, paid, disputed, events.dispute_lost(disputed))
    assert await net_balances(db) == {
        "asset:gateway:cashfree": -1_500,
        "liability:deferred_credits": -373,
        "expense:chargeback": 1_873,
    }


async def test_a_settlement_and_its_correction_are_booked_once_each(db: Database, events: Events) -> None:
    imported = events.settled()
    await post(db, imported, events.settled(gross=-100, fee=0, fee_tax=0))
    await post(db, imported)
    assert await net_balances(db) == {
        "asset:bank": 48_879 - 100,
        "expense:gateway_fee": 950,
        "asset:gst_input": 171,
        "asset:gateway:cashfree": -49_900,
    }


async def net_balances(db: Database) -> dict[str, int]:
    return {code: debit - credit for code, (debit, credit) in (await balances(db)).items() if debit != credit}


async def test_what_was_booked_about_a_payment_is_summed_by_account(db: Database, events: Events) -> None:
    paid, other = events.paid(), events.paid()
    payment_id, other_id = paid.payment.payment_id, other.payment.payment_id
    await post(db, paid, other, events.credited(payment_id=payment_id), events.refunded(paid), events.debited())
    await post(db, events.refunded(paid, held=0))
    ours, others = ids.decode("pay", payment_id), ids.decode("pay", other_id)
    async with db.begin() as tx:
        sums = await queries.payment_sums(tx, [ours, others, ids.new(), ours])
    assert {(each.account, each.debit, each.credit) for each in sums if each.payment_id == ours} == {
        ("asset:gateway:cashfree", 50_000, 100_000),
        ("liability:deferred_credits", 42_373, 42_373),
        ("liability:gst:cgst", 7_628, 3_814),
        ("liability:gst:sgst", 7_626, 3_813),
        ("revenue:credits", 42_373, 0),
        ("issued", 5_500, 0),
        ("wallets:paid", 0, 5_000),
        ("wallets:bonus", 0, 500),
    }
    assert [each.account for each in sums if each.payment_id == others] == [
        "asset:gateway:cashfree", "liability:deferred_credits", "liability:gst:cgst", "liability:gst:sgst",
    ]  # fmt: skip


async def test_a_journal_says_who_acted(db: Database, events: Events) -> None:
    paid = events.paid()
    await post(db, paid, events.refunded(paid, asked_by="usr_finance"))
    booked = await books.list_journals(db, ids.decode("pay", paid.payment.payment_id), 10)
    assert [(each.template, each.actor_id) for each in booked] == [
        ("payment.success", "service:payment"),
        ("payment.refunded", "usr_finance"),
    ]


async def test_a_cause_is_posted_once(db: Database, events: Events) -> None:
    paid, debited = events.paid(), events.debited()
    await post(db, paid, debited, paid)
    await post(db, debited, paid)
    assert await counted(db, "journals") == 3
    assert (await balances(db))["asset:gateway:cashfree"] == (50_000, 0)


async def test_many_posters_with_the_same_causes_post_each_once(db: Database, events: Events) -> None:
    causes = [events.paid() for _ in range(60)]
    await asyncio.gather(*(post(db, *(causes[start:] + causes[:start])) for start in range(0, 60, 5)))
    assert await counted(db, "journals") == 60
    assert (await balances(db))["asset:gateway:cashfree"] == (60 * 50_000, 0)


async def test_what_does_not_add_up_does_not_hold_up_the_rest(db: Database, events: Events) -> None:
    good, bad = wire.payment_succeeded(events.paid()), wire.payment_succeeded(events.paid(net=1))
    async with db.begin() as tx:
        refused = await books.post_journals(tx, [bad, good])
    assert [error.code if error else "" for error in refused] == ["journal_unbalanced", ""]
    assert await counted(db, "journals") == 1


@pytest.mark.parametrize("table", BOOK)
@pytest.mark.parametrize("change", ["update {0} set {1} = {1}", "delete from {0}", "truncate {0} cascade"])
@pytest.mark.parametrize("role", ["service", "owner"])
async def test_the_book_is_append_only(
    db: Database, database_url: str, owner_url: str, events: Events, table: str, change: str, role: str
) -> None:
    await post(db, events.paid())
    async with db.begin() as tx:
        await books.keep_audit(tx, [audit.audit_recorded(events.audited())])
    column = {"accounts": "code", "journals": "template", "ledger_entries": "line", "audit_logs": "action"}[table]
    url = database_url if role == "service" else owner_url
    connection = await asyncpg.connect(url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            await connection.execute(change.format(table, column))
    finally:
        await connection.close()
    assert refused.value.sqlstate == REFUSED
    assert await counted(db, table) > 0


@pytest.mark.parametrize("table", ["balance_snapshots", "journal_snapshots"])
async def test_the_service_cannot_change_a_snapshot(
    db: Database, database_url: str, owner_url: str, events: Events, table: str
) -> None:
    """Balances are read from it: a changed one would be a balance without a journal."""
    await post(db, events.paid())
    assert await books.take_snapshot(db)
    before = await balances(db)
    column = {"balance_snapshots": "debit", "journal_snapshots": "journals"}[table]
    refused = [f"update {table} set {column} = {column} + 1", f"truncate {table}"]
    for url, statements in ((database_url, [*refused, f"delete from {table}"]), (owner_url, refused)):
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
            # The newest one stays for every caller.
            await connection.execute("select delete_replaced_snapshots()")
        finally:
            await connection.close()
    assert await counted(db, table) > 0
    assert await balances(db) == before == await recomputed(db)


JOURNAL = """
insert into journals
    (journal_id, merchant_id, template, asset, cause_id, reference_prefix, reference, lines, effective_at)
values (:journal_id, 'mer_commdesk', 'test', 'INR', :journal_id, 'pay', :journal_id, :lines, now())
"""
ENTRIES = """
insert into ledger_entries (journal_id, line, account_id, debit, credit)
select :journal_id, line, account_id, debit, credit
from unnest(cast(:lines as smallint[]), cast(:accounts as integer[]), cast(:debits as bigint[]),
            cast(:credits as bigint[])) as row (line, account_id, debit, credit)
"""


async def enter(db: Database, journal_lines: int, *statements: Sequence[tuple[int, int, int, int]]) -> None:
    journal_id = ids.new()
    async with db.begin() as tx:
        await tx.execute(JOURNAL, journal_id=journal_id, lines=journal_lines)
        for entries in statements:
            lines, accounts, debits, credits = zip(*entries, strict=True)
            await tx.execute(
                ENTRIES, journal_id=journal_id, lines=lines, accounts=accounts, debits=debits, credits=credits
            )


WHOLE = [(1, 1000, 10, 0), (2, 2000, 0, 10)]


async def test_a_whole_journal_may_be_entered(db: Database) -> None:
    await enter(db, 2, WHOLE)
    assert await balances(db) == {"asset:bank": (10, 0), "liability:deferred_credits": (0, 10)}


@pytest.mark.parametrize(
    ("journal_lines", "statements"),
    [
        pytest.param(2, [[(1, 1000, 10, 0), (2, 2000, 0, 9)]], id="not zero"),
        pytest.param(3, [WHOLE], id="a line is missing"),
        pytest.param(2, [[(1, 1000, 10, 0)], [(2, 2000, 0, 10)]], id="in two statements"),
        pytest.param(2, [WHOLE, [(3, 1000, 5, 0), (4, 2000, 0, 5)]], id="more lines later"),
        pytest.param(2, [[(1, 1000, 10, 0), (3, 2000, 0, 10)]], id="a hole in the lines"),
        pytest.param(2, [[(1, 1000, 10, 0), (2, 9100, 0, 10)]], id="two assets"),
        pytest.param(2, [[(1, 9000, 10, 0), (2, 9100, 0, 10)]], id="the other asset"),
        pytest.param(2, [[(1, 1000, 10, 0), (2, 77, 0, 10)]], id="an account that is not in the chart"),
        pytest.param(2, [[(1, 1000, 10, 10), (2, 2000, 0, 0)]], id="both sides of one line"),
        pytest.param(2, [[(1, 1000, -10, 0), (2, 2000, 0, -10)]], id="negative amounts"),
    ],
)
async def test_the_database_refuses_a_broken_journal(
    db: Database, journal_lines: int, statements: list[list[tuple[int, int, int, int]]]
) -> None:
    with pytest.raises(PostgresError) as refused:
        await enter(db, journal_lines, *statements)
    assert sqlstate(refused.value) == CHECK_VIOLATION
    assert await counted(db, "journals") == await counted(db, "ledger_entries") == 0


async def test_a_line_cannot_be_entered_twice(db: Database) -> None:
    with pytest.raises(PostgresError) as refused:
        await enter(db, 2, WHOLE, WHOLE)
    assert sqlstate(refused.value) == "23505"


async def test_entries_need_their_journal(db: Database) -> None:
    with pytest.raises(PostgresError) as refused:
        async with db.begin() as tx:
            await tx.execute(
                ENTRIES, journal_id=ids.new(), lines=[1, 2], accounts=[1000, 2000], debits=[1, 0], credits=[0, 1]
            )
    assert sqlstate(refused.value) == CHECK_VIOLATION


async def recomputed(db: Database) -> dict[str, tuple[int, int]]:
    """The balances from the entries alone."""
    async with db.begin() as tx:
        rows = await tx.execute(
            "select code, cast(sum(debit) as bigint) as debit, cast(sum(credit) as bigint) as credit"
            " from ledger_entries join accounts using (account_id) group by code"
        )
        return {row.code: (row.debit, row.credit) for row in rows}


async def test_snapshots_are_exact_while_others_post(database_url: str, db: Database, events: Events) -> None:
    """Posters that begin early and commit late are what a naive cut would lose."""
    done = asyncio.Event()

    async def poster(poster_db: Database, number: int) -> None:
        for round_number in range(12):
            batch = [wire.payment_succeeded(events.paid()), wire.wallet_credited(events.credited())]
            async with poster_db.begin() as tx:
                await books.post_journals(tx, batch)
                await asyncio.sleep(0.002 * ((number + round_number) % 5))

    async def cutter() -> int:
        taken = 0
        while not done.is_set():
            taken += await books.take_snapshot(db)
            assert set(chart.out_of_balance(await rows_of(db)).values()) == {0}
            await asyncio.sleep(0.005)
        return taken

    async with connect(database_url, service="ledger", sealer=seals.generated(), pool_size=6) as posters:
        cutting = asyncio.create_task(cutter())
        await asyncio.gather(*(poster(posters, number) for number in range(6)))
        done.set()
        assert await cutting > 2
    assert await balances(db) == await recomputed(db)
    assert await books.take_snapshot(db)
    assert await balances(db) == await recomputed(db)
    assert (await balances(db))["asset:gateway:cashfree"] == (6 * 12 * 50_000, 0)
    async with db.begin() as tx:
        named = await books.totals(tx)
    assert named["journals.count"] == 6 * 12 * 2
    assert named["entries.count"] == 6 * 12 * 7
    assert named["journals.payment.success.count"] == 6 * 12


async def rows_of(db: Database) -> list[AccountBalance]:
    async with db.begin() as tx:
        return await queries.trial_balance(tx)


async def test_an_open_transaction_holds_the_cut_back(db: Database, events: Events) -> None:
    async with db.begin() as late:
        await books.post_journals(late, [wire.payment_succeeded(events.paid())])
        await post(db, events.paid(amount=10, net=10, cgst=0, sgst=0))
        assert await books.take_snapshot(db)
        assert (await balances(db))["asset:gateway:cashfree"] == (10, 0)
    assert (await balances(db))["asset:gateway:cashfree"] == (50_010, 0)
    assert await books.take_snapshot(db)
    assert (await balances(db))["asset:gateway:cashfree"] == (50_010, 0)


async def test_a_snapshot_from_another_cluster_is_not_believed(db: Database, events: Events) -> None:
    """After a restore into a younger cluster the old horizons lie in its future."""
    await post(db, events.paid())
    async with db.begin() as tx:
        await tx.execute(
            "insert into balance_snapshots values (cast('9000000000000' as xid8), 'mer_commdesk', 1000, 666, 0, 1)"
        )
    assert "asset:bank" not in await balances(db)
    assert await books.take_snapshot(db)
    assert await counted(db, "balance_snapshots where horizon = cast('9000000000000' as xid8)") == 0
    assert await balances(db) == await recomputed(db)


async def test_one_replica_at_a_time_takes_a_snapshot(db: Database, events: Events) -> None:
    await post(db, events.paid())
    async with db.begin() as other:
        assert await snapshots.claim_snapshots(other)
        assert not await books.take_snapshot(db)
    assert await books.take_snapshot(db)


async def test_a_broken_journal_is_counted_and_not_summed_up(db: Database, superuser_url: str) -> None:
    """Only somebody who turns the triggers off can write one; it must show."""
    admin = await asyncpg.connect(superuser_url)
    try:
        await admin.execute("set search_path = ledger; set session_replication_role = replica")
        await admin.execute(
            "insert into journals (journal_id, merchant_id, template, asset, cause_id, reference_prefix, reference,"
            " lines, effective_at) values ($1, 'mer_commdesk', 'test', 'INR', $1, 'pay', $1, 2, now())",
            ids.new(),
        )
    finally:
        await admin.close()
    assert not await books.take_snapshot(db)
    async with db.begin() as tx:
        assert (await books.totals(tx))["journals.unbalanced"] == 1


async def test_a_merchants_balance_is_his_own(db: Database, events: Events) -> None:
    await post(db, events.paid(), events.paid(merchant_id="mer_other"))
    assert await books.take_snapshot(db)
    await post(db, events.paid(merchant_id="mer_other"))
    assert (await balances(db, "mer_other"))["asset:gateway:cashfree"] == (100_000, 0)
    assert (await balances(db, "mer_commdesk"))["asset:gateway:cashfree"] == (50_000, 0)
    assert (await balances(db))["asset:gateway:cashfree"] == (150_000, 0)


async def test_audit_is_kept_once_with_all_it_says(db: Database, events: Events) -> None:
    first, second = events.audited(), events.audited(actor_id="service:payment", before_json='{"b":1}')
    for batch in ([first, second], [second, first]):
        async with db.begin() as tx:
            await books.keep_audit(tx, [audit.audit_recorded(event) for event in batch])
    async with db.begin() as tx:
        kept = await queries.audit_records(tx, AuditFilter(10, resource_id="pay_1"))
        by_actor = await queries.audit_records(tx, AuditFilter(10, actor_id="usr_1"))
        either = await queries.audit_records(tx, AuditFilter(10, either="service:payment"))
    assert [record.audit_id for record in kept] == [
        audit.audit_recorded(event).audit_id for event in (second, first)
    ], "newest first"
    expected = replace(audit.audit_recorded(second), before_state='{"b": 1}', after_state='{"status": "CREATED"}')
    assert kept[0] == expected
    assert [record.actor_id for record in by_actor] == ["usr_1"]
    assert [record.actor_id for record in either] == ["service:payment"]


async def test_an_origin_that_only_begins_like_a_sealed_one_is_sealed_with_the_old_rows(
    db: Database, events: Events
) -> None:
    """A client chooses its user agent."""
    old = audit.audit_recorded(events.audited(ip="", user_agent="s1.0 (X11)"))
    async with db.begin() as tx:
        await commands.add_audit(tx, [old])  # as before addresses were sealed
    await audit_origins.seal_old(db)
    async with db.begin() as tx:
        [stored] = (await tx.execute("select user_agent from audit_logs")).scalars()
        [record] = await queries.audit_records(tx, AuditFilter(10))
    assert is_sealed(stored)
    assert record.user_agent == "s1.0 (X11)"


async def test_an_old_origin_of_an_actor_whose_key_is_destroyed_is_erased(db: Database, events: Events) -> None:
    """It would stop the sealing of all others."""
    records = [audit.audit_recorded(events.audited(ip="203.0.113.7", actor_id=each)) for each in ("usr_1", "usr_2")]
    async with db.begin() as tx:
        await audit_origins.sealed(tx, records)  # makes the keys
        await tx.execute("update subject_keys set key = '', destroyed_at = now() where subject = 'usr_1'")
        await commands.add_audit(tx, records)
    await audit_origins.seal_old(db)
    async with db.begin() as tx:
        stored = {row.actor_id: row for row in await tx.execute("select actor_id, ip_address from audit_logs")}
    assert stored["usr_1"].ip_address is None
    assert is_sealed(stored["usr_2"].ip_address)


async def test_an_origin_that_only_begins_like_a_sealed_one_is_shown(db: Database, events: Events) -> None:
    """Of an actor without a key, whose row is from before sealing."""
    old = audit.audit_recorded(events.audited(ip="", user_agent="s1.0 (X11)"))
    async with db.begin() as tx:
        await commands.add_audit(tx, [old])
        [record] = await queries.audit_records(tx, AuditFilter(10))
    assert record.user_agent == "s1.0 (X11)"
