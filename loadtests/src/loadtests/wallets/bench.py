"""A whole wallet bench: the spread run, the hot run, the books, and the verdict on all of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from common import ids
from loadtests import database
from loadtests.bench import rig
from loadtests.wallets import cleanup
from loadtests.wallets import progress as measurements
from loadtests.wallets.plan import Plan
from loadtests.wallets.run import run_of
from ops import fleet_client, invariants
from ops.ports import Layout
from ops.progress import Progress

LAST_TO_FIRST_MIN = 0.9
HOT_TO_SPREAD_MIN = 0.5


async def bench(layout: Layout, description: Mapping[str, Any], plan: Plan, progress: Progress) -> dict[str, Any]:
    """Everything that bench-wallet.json holds. Raises TimeoutError, RuntimeError when a run cannot be finished."""
    async with fleet_client.connect(layout) as client, database.connect(description) as db:
        await invariants.until_quiet(description, 60)
        first_envelope, rows_before = ids.new(), await measurements.rows(db)
        try:
            runs = {}
            for run in plan.runs:
                done = runs[run.name] = await run_of(client, db, run, plan.grpc_share, progress)
                progress.done(
                    f"{run.name}: {done['transactions']:,} booked in {done['seconds']:.1f} s,"
                    f" {done['transactions_per_s']:,.0f}/s at {done['cpu_us_per_transaction_total']:.0f} CPU-µs each"
                )
            expected = sum(done["grants_to_open"] + done["transactions"] for done in runs.values())
            counts = {name: count - rows_before[name] for name, count in (await measurements.rows(db)).items()}
            wrong = await measurements.problems(db, description, counts, expected)
            progress.done(f"books: {'all adds up' if not wrong else 'WRONG'}")
        finally:
            if not plan.keep:
                await invariants.until_quiet(description, 60)
                await cleanup.clean(db, first_envelope)
                progress.done("what the bench wrote is removed from the stack")
        broken = [] if plan.keep else [str(violation) for violation in await invariants.violations(description)]
        return result(plan, runs, counts, wrong, broken)


def result(
    plan: Plan, runs: Mapping[str, dict[str, Any]], counts: Mapping[str, int], wrong: list[str], broken: list[str]
) -> dict[str, Any]:
    """The spread run's figures stand at the top, every run in full below."""
    spread = runs["spread"]
    hot = runs.get("hot")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rig": rig(),
        "plan": {"grpc_share": plan.grpc_share, "zipf": plan.zipf},
        **spread,
        "hot_transactions_per_s": hot["transactions_per_s"] if hot else None,
        "hot_to_spread": hot["transactions_per_s"] / spread["transactions_per_s"] if hot else None,
        "rows": dict(counts),
        "invariants": {
            "checks": len(invariants.CHECKS)
            - len(measurements.unpaid_checks())
            + len(measurements.COUNTS)
            + len(measurements.WRONG),
            "violations": wrong,
            "violations_after_cleaning": broken,
        },
        "problems": [
            *(f"{name}: refused {done['refused']}" for name, done in runs.items() if done["refused"]),
            *(f"wrong: {each}" for each in wrong),
            *(f"wrong after cleaning: {each}" for each in broken),
            *_falls(spread, hot),
        ],
        "runs": dict(runs),
    }


def _falls(spread: Mapping[str, Any], hot: Mapping[str, Any] | None) -> list[str]:
    """A rate that falls as rows grow, or as wallets get hot."""
    found = []
    if spread["last_to_first"] < LAST_TO_FIRST_MIN:
        found.append(f"the rate falls: the last slice has {spread['last_to_first']:.0%} of the first one's")
    if hot and hot["transactions_per_s"] < HOT_TO_SPREAD_MIN * spread["transactions_per_s"]:
        found.append(f"hot wallets have {hot['transactions_per_s'] / spread['transactions_per_s']:.0%} of the rate")
    return found
