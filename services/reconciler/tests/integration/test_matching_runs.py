"""Matching against a real database and a real gRPC server that holds planted faults."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from common import ids
from common.clock import FakeClock
from common.database import Database
from reconciler.domain.bank import BankStatement, StatementLine
from reconciler.domain.differences import Kind
from reconciler.domain.records import BankLine
from reconciler.domain.runs import Case, CaseStatus, Run, RunStatus, Scope
from reconciler.gateways.matching import FleetSources
from reconciler.store import bank, cases, commands, queries
from reconciler.use_cases.matching import Matching, MatchingReport
from services.reconciler.tests import worlds
from services.reconciler.tests.fleet_server import FleetServer, serving
from services.reconciler.tests.worlds import NOW, TERMS, Expected, World

HOUR = 3600.0


def move(clock: FakeClock, to: datetime) -> None:
    clock.advance((to - clock.now()).total_seconds())


class Fleet:
    """A world behind a server, and the matching that reads it."""

    def __init__(self, db: Database, clock: FakeClock, server: FleetServer, matching: Matching) -> None:
        self.db = db
        self.clock = clock
        self.server = server
        self.matching = matching

    async def run(self) -> MatchingReport:
        """One pass, as part of a run that is over at once; an hour later than the last."""
        self.clock.advance(HOUR)
        self.server.index()
        run = Run(ids.new(), Scope.ALL, RunStatus.RUNNING, "test", self.clock.now())
        async with self.db.begin() as tx:
            assert await commands.begin_run(tx, run, timedelta(minutes=5), None)
        report = await self.matching.run(run.run_id)
        finished = replace(run, status=RunStatus.SUCCEEDED, finished_at=self.clock.now())
        async with self.db.begin() as tx:
            assert await commands.finish_run(tx, finished)
        return report

    async def cases(self, status: CaseStatus | None = CaseStatus.OPEN) -> list[Case]:
        async with self.db.begin() as tx:
            return await queries.cases(tx, status, 10_000)

    async def found(self) -> list[Expected]:
        return sorted(
            Expected(each.kind, each.reference, each.payment_id, each.amount_minor) for each in await self.cases()
        )

    async def upload(self, lines: list[BankLine]) -> None:
        """One statement of all days."""
        statement = BankStatement("000123", "CSV", "INR", worlds.FIRST_DAY, NOW.date(), [])
        entries = [StatementLine(each.booked_on, each.amount_minor, each.words) for each in lines]
        statement = replace(statement, lines=entries)
        async with self.db.begin() as tx:
            await bank.store_statement(tx, ids.new(), statement, b"1" * 32, "usr_1", self.clock.now())


@asynccontextmanager
async def fleet_of(db: Database, clock: FakeClock, world: World) -> AsyncIterator[Fleet]:
    move(clock, NOW - timedelta(hours=1))
    server = FleetServer(world, NOW - timedelta(days=1))
    async with serving(server) as channel:
        sources = FleetSources(channel, channel, channel)
        matching = Matching(db, clock, sources, TERMS, timedelta(minutes=2))
        yield Fleet(db, clock, server, matching)


async def test_every_planted_fault_becomes_a_case_and_none_else(db: Database, clock: FakeClock) -> None:
    world = worlds.planted(11, 700, each=2)
    async with fleet_of(db, clock, world) as fleet:
        await fleet.upload(world.lines)
        report = await fleet.run()
        assert await fleet.found() == sorted(world.expected)
        assert report.payments_checked == 700, "each once"
        assert report.settlements_checked == len(world.settlements)
        again = await fleet.run()
        assert await fleet.found() == sorted(world.expected)
        wrong = len({each.payment_id for each in world.expected} - {""})
        assert again.payments_checked <= wrong, "only what is wrong is looked at again"
        assert not again.opened


async def test_payment_is_asked_to_look_late_money_up(db: Database, clock: FakeClock) -> None:
    world = worlds.world(3, 5)
    payment_id = sorted(world.records)[0]
    worlds.late_money(world, payment_id)
    async with fleet_of(db, clock, world.finish()) as fleet:
        await fleet.run()
        async with db.begin() as tx:
            envelopes = list(await tx.execute("select routing_key from outbox"))
        assert [each.routing_key for each in envelopes] == ["payment.sync.requested"]
        [case] = await fleet.cases()
        assert (case.kind, case.payment_id) == (Kind.STATUS_MISMATCH, payment_id)
        # Payment has looked it up and granted it.
        healthy = worlds.world(3, 5)
        record = world.records[payment_id]
        world.records[payment_id] = replace(
            record, status="SETTLED", paid_at=record.created_at, gateway_payment_id="", changed_at=NOW
        )
        world.grants[payment_id] = worlds.granted(record)
        world.sums[payment_id] = worlds.booked(record)
        assert healthy.records
        await fleet.run()
        assert await fleet.cases() == []


async def test_a_case_closes_when_the_difference_goes_and_opens_again_when_it_is_back(
    db: Database, clock: FakeClock
) -> None:
    world = worlds.world(3, 5)
    payment_id = sorted(world.records)[0]
    grant = world.grants.pop(payment_id)
    async with fleet_of(db, clock, world.finish()) as fleet:
        await fleet.run()
        [case] = [each for each in await fleet.cases() if each.kind == Kind.GRANT_MISSING]
        world.grants[payment_id] = grant
        await fleet.run()
        assert await fleet.cases() == []
        del world.grants[payment_id]
        world.records[payment_id] = replace(world.records[payment_id], changed_at=clock.now())
        await fleet.run()
        [second] = [each for each in await fleet.cases() if each.kind == Kind.GRANT_MISSING]
        assert second.case_id != case.case_id


async def test_what_a_person_decided_stays_until_it_changes(db: Database, clock: FakeClock) -> None:
    world = worlds.world(3, 5)
    payment_id = sorted(world.records)[0]
    world.change(payment_id, webhook_at=None)
    async with fleet_of(db, clock, world.finish()) as fleet:
        await fleet.run()
        [case] = await fleet.cases()
        async with db.begin() as tx:
            assert await cases.resolve_by_hand(tx, case.case_id, "usr_1", "the endpoint was down", clock.now())
        await fleet.run()
        assert await fleet.cases() == []
        # It goes, and comes back: the decision was about the first.
        for webhook_at in (NOW, None):
            world.change(payment_id, webhook_at=webhook_at, changed_at=clock.now())
            await fleet.run()
        assert [each.kind for each in await fleet.cases()] == [Kind.WEBHOOK_MISSING]


async def test_a_pass_goes_on_where_the_last_stopped(db: Database, clock: FakeClock) -> None:
    world = worlds.world(3, 1_300)
    world.finish()
    async with fleet_of(db, clock, world) as fleet:
        # No settlement: so that all payments come by the window of changes.
        world.settlements.clear()
        fleet.server.silent_after = {"ListPaymentSums": 1}
        stopped = await fleet.run()
        assert stopped.is_partial
        assert 0 < stopped.payments_checked <= 500, "one page, and no more"
        fleet.server.silent_after = {}
        rest = await fleet.run()
        assert not rest.is_partial
        async with db.begin() as tx:
            stored = (await tx.execute("select count(*) from matched_payments")).scalar_one()
        assert stored == 1_300
        quiet = await fleet.run()
        assert quiet.payments_checked == 0, "nothing changed, nothing is due"


async def test_the_clock_opens_what_was_not_due(db: Database, clock: FakeClock) -> None:
    """Nothing is announced and nothing changes: the day passes on which it had to be settled."""
    world = worlds.world(3, 1)
    [payment_id] = world.records
    record = world.records[payment_id]
    for rows in world.rows.values():
        rows.clear()
    world.refunds.clear()
    world.settlements.clear()
    gateway, issued = world.sums[payment_id]
    world.sums[payment_id] = [replace(gateway, credit=0), issued]
    world.records[payment_id] = replace(
        record, status="SUCCESS", refunded_minor=0, paid_at=NOW, created_at=NOW, changed_at=NOW, webhook_at=NOW
    )
    async with fleet_of(db, clock, world) as fleet:
        await fleet.run()
        clock.advance(30.0)
        await fleet.run()
        assert await fleet.cases() == []
        move(clock, TERMS.settled_by(NOW))
        await fleet.run()
        assert [each.kind for each in await fleet.cases()] == [Kind.SETTLEMENT_DELAYED]
        move(clock, TERMS.missing_from(NOW))
        await fleet.run()
        assert [each.kind for each in await fleet.cases()] == [Kind.SETTLEMENT_MISSING]


async def test_a_payment_that_is_gone_after_a_restore_is_named(db: Database, clock: FakeClock) -> None:
    world = worlds.world(3, 2)
    payment_id = sorted(world.records)[0]
    world.change(payment_id, webhook_at=None)
    async with fleet_of(db, clock, world.finish()) as fleet:
        await fleet.run()
        lost = world.records.pop(payment_id)
        await fleet.run()
        [case] = await fleet.cases()
        assert (case.kind, case.amount_minor) == (Kind.PAYMENT_UNKNOWN, lost.amount_minor)


async def test_a_settlement_too_large_to_judge_keeps_its_cases(
    db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds.world(3, 40)
    payment_id = sorted(world.records)[0]
    worlds.orphan_at_gateway(world, payment_id)
    async with fleet_of(db, clock, world.finish()) as fleet:
        await fleet.run()
        before = await fleet.found()
        assert before == world.expected
        monkeypatch.setattr("reconciler.use_cases.matching.ROWS_MAX", 1)
        monkeypatch.setattr("reconciler.gateways.matching.ROWS_PAGE", 1)
        await fleet.run()
        assert await fleet.found() == before
