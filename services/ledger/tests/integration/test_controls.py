"""Closed periods, frozen accounts, reversals, manual journals, balances at an instant, against a real Postgres."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from asyncpg import CheckViolationError

from common import approvals
from common.approvals import ApprovalByProposer, ApprovalStatus, Verdict
from common.clock import SYSTEM_CLOCK
from common.database import Database, retried
from common.events import from_micros
from ledger.domain.adjustments import (
    BatchKeyReused,
    JournalDateInvalid,
    JournalNotFound,
    JournalReversed,
    ManualBatch,
    ManualJournal,
    ManualLine,
    batch_id_of,
)
from ledger.domain.controls import AccountFrozen, AccountNotFrozen, PeriodEndInvalid
from ledger.domain.journals import AccountUnknown, JournalUnbalanced
from ledger.domain.statements import StatementFilter, StatementLine
from ledger.store import statements
from ledger.use_cases import adjustments, books, controls
from ledger.wire import events as wire

from ..builders import NOW_MICROS, Events

MERCHANT, OTHER = "mer_commdesk", "mer_other"
EVENT_TIME = from_micros(NOW_MICROS)
# Whatever these tests book was booked in the past of this machine's clock.
ACTOR, REASON = "usr_fin", "month end"


@retried
async def post(db: Database, *events: Any) -> list[str]:
    """The codes of what was refused."""
    async with db.begin() as tx:
        refused = await books.post_journals(tx, [wire.payment_succeeded(event) for event in events])
    return [error.code for error in refused if error]


def paid_at(events: Events, moment: datetime, **changes: Any) -> Any:
    event = events.paid(**changes)
    event.time_unix_micros = int(moment.timestamp()) * 1_000_000
    return event


async def close(db: Database, until: datetime) -> Any:
    return await controls.close_period(db, SYSTEM_CLOCK, MERCHANT, until, ACTOR, REASON)


def now() -> datetime:
    return datetime.now(UTC)


async def balance(db: Database, until: datetime, account: str = "asset:gateway:cashfree") -> int:
    async with db.begin() as tx:
        rows = await statements.balances_at(tx, MERCHANT, until)
    assert {asset: sum(r.debit - r.credit for r in rows if r.asset == asset) for asset in ("INR", "CREDIT")} == {
        "INR": 0,
        "CREDIT": 0,
    }
    return next(row.debit - row.credit for row in rows if row.account == account)


# ── Periods ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_late_event_of_a_closed_period_counts_in_the_open_one(db: Database, events: Events) -> None:
    january, february = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert await post(db, paid_at(events, january)) == []
    await close(db, february)
    before = now()
    assert await post(db, paid_at(events, january), paid_at(events, january, merchant_id=OTHER)) == []
    async with db.begin() as tx:
        rows = await tx.execute("select merchant_id, effective_at, accounted_at from journals order by booked_at")
    first, *late = rows
    assert first.accounted_at is None
    of_merchant = {row.merchant_id: row for row in late}
    assert of_merchant[MERCHANT].effective_at == january
    assert of_merchant[MERCHANT].accounted_at >= before
    assert of_merchant[OTHER].accounted_at is None
    assert [await balance(db, moment) for moment in (january, february, now())] == [0, 50_000, 100_000]


async def test_the_database_itself_refuses_an_entry_in_a_closed_period(
    db: Database, database_url: str, events: Events
) -> None:
    await close(db, datetime(2026, 2, 1, tzinfo=UTC))
    [journal] = adjustments.preview_event(wire.payment_succeeded(paid_at(events, datetime(2026, 1, 1, tzinfo=UTC))))
    connection = await asyncpg.connect(database_url)
    try:
        with pytest.raises(CheckViolationError) as refused:
            async with connection.transaction():
                await connection.execute(
                    """insert into journals (journal_id, merchant_id, template, asset, cause_id, reference_prefix,
                                             reference, lines, effective_at)
                       values ($1, $2, 'x', 'INR', $1, 'pay', $1, 2, '2026-01-01')""",
                    journal.journal_id,
                    MERCHANT,
                )
                await connection.execute(
                    "insert into ledger_entries (journal_id, line, account_id, debit, credit) "
                    "values ($1, 1, 1000, 5, 0), ($1, 2, 4000, 0, 5)",
                    journal.journal_id,
                )
        assert refused.value.constraint_name == "period_is_open"
    finally:
        await connection.close()


async def test_a_period_ends_in_the_past_and_later_than_the_last(db: Database) -> None:
    february = datetime(2026, 2, 1, tzinfo=UTC)
    period = await close(db, february)
    assert await close(db, february) == period
    for until in (february - timedelta(days=1), now() + timedelta(hours=1)):
        with pytest.raises(PeriodEndInvalid):
            await close(db, until)
    async with db.begin() as tx:
        rows = await tx.execute("select count(*) from outbox where routing_key = 'audit.recorded'")
    assert rows.scalar_one() == 1


async def test_nothing_is_booked_past_a_period_that_closes_meanwhile(db: Database, events: Events) -> None:
    january, february = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    posts = [post(db, paid_at(events, january)) for _ in range(30)]
    await asyncio.gather(*posts[:15], close(db, february), *posts[15:])
    async with db.begin() as tx:
        [period] = await controls.list_periods(db, MERCHANT, 10, None)
        booked = await tx.execute("select count(*) filter (where accounted_at is null) as of_period from journals")
    at_end = await balance(db, february)
    assert at_end == booked[0].of_period * 50_000
    assert await balance(db, now()) == 30 * 50_000
    assert period.closed_by == ACTOR


async def test_balances_begin_at_the_last_closing(db: Database, events: Events) -> None:
    months = [datetime(2026, month, 10, tzinfo=UTC) for month in (1, 2, 3)]
    for month in months:
        await post(db, paid_at(events, month))
    instants = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4)]
    before = [await balance(db, instant) for instant in instants]
    assert before == [0, 50_000, 100_000, 150_000]
    for until in instants[1:3]:
        await close(db, until)
    assert await controls.keep_closing_balances(db) == 2
    assert await controls.keep_closing_balances(db) == 0
    await post(db, paid_at(events, months[0]))
    assert [await balance(db, instant) for instant in instants] == before
    assert await balance(db, now()) == 200_000
    async with db.begin() as tx:
        kept = await tx.execute("select debit from closing_balances where account_id = 1100 order by closed_until")
    assert kept.scalars() == [50_000, 100_000]


# ── Frozen accounts ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_frozen_account_takes_no_entry_until_it_is_unfrozen(db: Database, events: Events) -> None:
    account = "liability:gst:cgst"
    freeze = await controls.freeze_account(db, SYSTEM_CLOCK, MERCHANT, account, ACTOR, REASON)
    with pytest.raises(AccountFrozen):
        await controls.freeze_account(db, SYSTEM_CLOCK, MERCHANT, account, ACTOR, REASON)
    taxed, other = events.paid(), events.paid(merchant_id=OTHER)
    free = events.paid(net=42_372, cgst=0, sgst=0, igst=7_628)
    assert await post(db, taxed, other, free) == ["account_frozen"]
    assert [each.freeze_id for each in await controls.list_freezes(db, MERCHANT)] == [freeze.freeze_id]
    await controls.unfreeze_account(db, SYSTEM_CLOCK, MERCHANT, account, ACTOR, REASON)
    with pytest.raises(AccountNotFrozen):
        await controls.unfreeze_account(db, SYSTEM_CLOCK, MERCHANT, account, ACTOR, REASON)
    assert await post(db, taxed, other, free) == []
    assert await balance(db, now()) == 100_000


async def test_the_database_itself_refuses_an_entry_on_a_frozen_account(
    db: Database, database_url: str, events: Events
) -> None:
    [journal_id] = await _journal_ids(db, events)
    await controls.freeze_account(db, SYSTEM_CLOCK, MERCHANT, "asset:bank", ACTOR, REASON)
    connection = await asyncpg.connect(database_url)
    try:
        with pytest.raises(CheckViolationError) as refused:
            async with connection.transaction():
                await connection.execute(
                    """insert into journals (journal_id, merchant_id, template, asset, cause_id, reference_prefix,
                                             reference, lines, effective_at)
                       select gen_random_uuid(), merchant_id, 'x', asset, cause_id, 'pay', reference, 2, now()
                       from journals where journal_id = $1""",
                    journal_id,
                )
                await connection.execute(
                    "insert into ledger_entries (journal_id, line, account_id, debit, credit) "
                    "select journal_id, line, case line when 1 then 1000 else 4000 end, 2 - line, line - 1 "
                    "from journals, generate_series(1, 2) line where template = 'x'"
                )
        assert refused.value.constraint_name == "account_is_not_frozen"
    finally:
        await connection.close()


async def _journal_ids(db: Database, events: Events, count: int = 1) -> list[Any]:
    for _ in range(count):
        assert await post(db, events.paid()) == []
    async with db.begin() as tx:
        return (await tx.execute("select journal_id from journals order by journal_id")).scalars()


# ── Reversals and manual journals ────────────────────────────────────────────────────────────────────────────────


async def test_a_journal_is_reversed_once(db: Database, events: Events) -> None:
    [journal_id] = await _journal_ids(db, events)

    async def reverse(merchant_id: str = MERCHANT) -> Any:
        return await adjustments.reverse_journal(db, SYSTEM_CLOCK, merchant_id, journal_id, ACTOR, "booked twice")

    with pytest.raises(JournalNotFound):
        await reverse(OTHER)
    results = await asyncio.gather(*(reverse() for _ in range(5)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Journal"] + ["JournalReversed"] * 4
    assert await balance(db, now()) == 0
    async with db.begin() as tx:
        row = (await tx.execute("select * from journals where reverses is not null")).one()
    assert (row.reverses, row.actor_id, row.reason, row.owner_id) == (journal_id, ACTOR, "booked twice", "")
    with pytest.raises(JournalReversed):
        await adjustments.reverse_journal(db, SYSTEM_CLOCK, MERCHANT, row.journal_id, ACTOR, "again")


def batch(key: str = "k1", amount: int = 500, **changes: Any) -> ManualBatch:
    lines = [ManualLine("asset:bank", debit=amount), ManualLine("revenue:platform_fee", credit=amount)]
    journal = ManualJournal(datetime(2026, 3, 1, tzinfo=UTC), changes.pop("lines", lines), "bank interest")
    fields: dict[str, Any] = {"proposed_by": ACTOR, "reason": REASON, "proposed_at": now()}
    return ManualBatch(batch_id_of(MERCHANT, key), MERCHANT, key, [journal, journal], **fields | changes)


async def test_manual_journals_are_posted_once_when_another_person_approves(db: Database) -> None:
    approval, drafts = await adjustments.propose_journals(db, batch())
    assert len(drafts) == 2
    again, _ = await adjustments.propose_journals(db, batch())
    assert again.id == approval.id
    assert await balance(db, now(), "asset:bank") == 0
    with pytest.raises(BatchKeyReused):
        await adjustments.propose_journals(db, batch(amount=501))

    async def decide(actor: str) -> approvals.Approval:
        return await adjustments.decide_journals(
            db, SYSTEM_CLOCK, MERCHANT, approval.id, Verdict.APPROVE, actor, "checked"
        )

    with pytest.raises(ApprovalByProposer):
        await decide(ACTOR)
    results = await asyncio.gather(*(decide("usr_second") for _ in range(3)))
    assert {result.status for result in results} == {ApprovalStatus.APPROVED}
    assert await balance(db, now(), "asset:bank") == 1_000
    async with db.begin() as tx:
        audited = await tx.execute("select count(*) from outbox where routing_key = 'audit.recorded'")
    assert audited.scalar_one() == 2


async def test_a_rejected_batch_posts_nothing(db: Database) -> None:
    approval, _ = await adjustments.propose_journals(db, batch())
    await adjustments.decide_journals(db, SYSTEM_CLOCK, MERCHANT, approval.id, Verdict.REJECT, "usr_2", "no")
    assert await balance(db, now(), "asset:bank") == 0


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([ManualLine("asset:bank", debit=5), ManualLine("revenue:credits", credit=4)], JournalUnbalanced),
        ([ManualLine("asset:bank", debit=5), ManualLine("burned", credit=5)], JournalUnbalanced),
        ([ManualLine("asset:bank", debit=5, credit=5), ManualLine("revenue:credits", credit=0)], JournalUnbalanced),
        ([ManualLine("asset:vault", debit=5), ManualLine("revenue:credits", credit=5)], AccountUnknown),
    ],
)
async def test_a_batch_that_the_book_cannot_take_is_refused_at_once(
    db: Database, lines: list[ManualLine], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await adjustments.propose_journals(db, batch(lines=lines))
    with pytest.raises(JournalDateInvalid):
        await adjustments.propose_journals(db, batch(proposed_at=datetime(2026, 2, 1, tzinfo=UTC)))


async def test_a_manual_journal_of_a_closed_period_counts_in_the_open_one(db: Database) -> None:
    april = datetime(2026, 4, 1, tzinfo=UTC)
    approval, _ = await adjustments.propose_journals(db, batch())
    await close(db, april)
    await adjustments.decide_journals(db, SYSTEM_CLOCK, MERCHANT, approval.id, Verdict.APPROVE, "usr_2", "ok")
    assert [await balance(db, moment, "asset:bank") for moment in (april, now())] == [0, 1_000]


# ── Statements ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _lines(db: Database, **fields: Any) -> list[StatementLine]:
    filter = StatementFilter(MERCHANT, EVENT_TIME - timedelta(days=9999), now(), **{"limit": 3} | fields)
    lines: list[StatementLine] = []
    after = None
    while True:
        async with db.begin() as tx:
            page, after = await statements.statement_lines(
                tx, StatementFilter(**{n: getattr(filter, n) for n in filter.__struct_fields__} | {"after": after})
            )
        assert len(page) <= filter.limit
        lines += page
        if after is None:
            return lines


@pytest.mark.parametrize("scanned", [2, 20_000])
async def test_statements_page_through_an_account_and_an_owner(
    db: Database, events: Events, monkeypatch: pytest.MonkeyPatch, scanned: int
) -> None:
    monkeypatch.setattr(statements, "SCANNED_MAX", scanned)
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    for number in range(7):
        event = paid_at(events, moment)
        event.payment.user_id = "usr_a" if number % 2 else "usr_b"
        await post(db, event)
    assert len(await _lines(db, account_id=1100)) == 7
    mine = await _lines(db, owner_id="usr_a")
    assert len(mine) == 3 * 4
    assert {line.owner_id for line in mine} == {"usr_a"}
    assert sum(line.debit - line.credit for line in mine) == 0
    assert len({(line.journal_id, line.line) for line in mine}) == 12
