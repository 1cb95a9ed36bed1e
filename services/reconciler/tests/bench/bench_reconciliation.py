"""make bench-reconciliation: 100,000 payments with their settlements reconciled; every planted fault found, none else.

Sources answer over gRPC from this very process, so its processor time is theirs too. PAYMENTS= says how many.
"""

import os
import resource
import time

import pytest

from common.clock import FakeClock
from common.database import Database
from services.reconciler.tests import worlds
from services.reconciler.tests.integration.test_matching_runs import fleet_of
from services.reconciler.tests.worlds import Expected

PAYMENTS = int(os.environ.get("PAYMENTS", "100000"))
EACH = 20
MEBIBYTE = 1024
# What a pass may add to the process at its peak, however many payments there are.
GROWTH_MEBIBYTES_MAX = 200


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE


@pytest.mark.timeout(1_800)
async def test_reconciliation(db: Database, clock: FakeClock) -> None:
    world = worlds.planted(1, PAYMENTS, each=EACH)
    async with fleet_of(db, clock, world) as fleet:
        await fleet.upload(world.lines)
        fleet.server.index()
        before = peak_mebibytes()
        began, used = time.perf_counter(), time.process_time()
        report = await fleet.run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        growth = peak_mebibytes() - before
        cases = sorted(
            Expected(each.kind, each.reference, each.payment_id, each.amount_minor) for each in await fleet.cases()
        )
        again = await fleet.run()
        load = os.getloadavg()[0]
        print(
            f"\n{report.payments_checked:,} payments, {report.settlements_checked} settlements with"
            f" {sum(map(len, world.rows.values())):,} rows: {seconds:.1f} s, {cpu:.1f} s of this process,"
            f" {growth:.0f} MiB more at the peak, load {load:.0f} on {os.cpu_count()} processors\n"
            f"{len(cases)} cases of {len({each.kind for each in cases})} kinds; planted {len(world.expected)}\n"
            f"the next run judged {again.payments_checked} payments"
        )
        assert cases == sorted(world.expected)
        assert report.payments_checked == PAYMENTS
        assert growth < GROWTH_MEBIBYTES_MAX
