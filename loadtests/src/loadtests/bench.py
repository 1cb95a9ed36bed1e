"""A whole bench: warm-up, rounds, baselines, and the verdict on all of it."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psutil

from loadtests import config, members
from loadtests.baselines import BASELINES, SECONDS
from loadtests.config import Plan
from loadtests.generator import Generator
from loadtests.percentiles import median_index
from loadtests.run import Watched, round_of
from ops import invariants
from ops.progress import Progress


async def bench(description: Mapping[str, Any], plan: Plan, progress: Progress) -> dict[str, Any]:
    """Everything that bench.json holds. Raises TimeoutError, RuntimeError when a round cannot be finished."""
    watched = Watched(description)
    tokens = members.tokens(description["jwt_secret"], plan.members)
    progress.done(f"{len(tokens)} members hold tokens of an existing issuer (HS256, the stack's JWT_SECRET)")
    baselines = await measure_baselines(description, progress) if plan.floors else {}
    generator = Generator(description["edge_url"], description["sandbox_url"], tokens)
    if plan.warm_up:
        warm = await round_of(watched, generator, plan.warm_up, plan.clients, plan.rate)
        progress.done(f"warm-up: {warm['completed']} of {plan.warm_up} complete")
    rounds = []
    for number in range(1, plan.rounds + 1):
        done = await round_of(watched, generator, plan.payments, plan.clients, plan.rate)
        rounds.append(done)
        progress.done(
            f"round {number} of {plan.rounds}: {done['completed']} complete in {done['seconds']:.1f} s,"
            f" {done['payments_per_s']:.0f}/s at {done['cpu_ms_per_payment_total']:.2f} CPU-ms each,"
            f" other processes used {done['others_busy_share']:.0%} of the CPU"
        )
    broken = await invariants.violations(description)
    progress.done(f"invariants: {'all hold' if not broken else 'VIOLATED'}")
    return result(plan, rounds, baselines, [str(violation) for violation in broken], len(invariants.CHECKS))


async def measure_baselines(description: Mapping[str, Any], progress: Progress) -> dict[str, dict[str, Any]]:
    """Every baseline, one after the other."""
    found: dict[str, dict[str, Any]] = {}
    for name, measure in BASELINES.items():
        found |= await measure(description, SECONDS)
        progress.done(f"baseline measured: {name}")
    return found


def result(
    plan: Plan,
    rounds: Sequence[dict[str, Any]],
    baselines: Mapping[str, dict[str, Any]],
    broken: list[str],
    checks: int,
) -> dict[str, Any]:
    """The round in the middle stands for all; the others are kept in full."""
    middle = rounds[median_index([done["payments_per_s"] for done in rounds])]
    rate = middle["payments_per_s"]
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rig": rig(),
        "plan": {
            "model": plan.model,
            "payments": plan.payments,
            "rounds": plan.rounds,
            "warm_up": plan.warm_up,
            "members": plan.members,
            "pack": config.PACK_ID,
        },
        **{name: value for name, value in middle.items() if name != "timeline"},
        "create_p99_ms": middle["create_ms"]["p99"],
        "webhook_p99_ms": middle["webhook_ms"]["p99"],
        "webhook_to_credit_p99_ms": middle["webhook_to_credit_ms"]["p99"],
        "floors": {name: {**figures, "times_ours": figures["per_s"] / rate} for name, figures in baselines.items()},
        "invariants": {"checks": checks, "violations": broken},
        "problems": [
            *(f"round {number}: {problem}" for number, done in enumerate(rounds, 1) for problem in problems(done)),
            *(f"violated: {violation}" for violation in broken),
        ],
        "timeline": middle["timeline"],
        "rounds": [{name: value for name, value in done.items() if name != "timeline"} for done in rounds],
    }


def problems(done: Mapping[str, Any]) -> list[str]:
    """Why a round does not count; nothing when it does."""
    found = []
    if done["failures"]:
        found.append(f"creates failed: {done['failures']}")
    if done["unpaid"]:
        found.append(f"the sandbox refused to pay {done['unpaid']}")
    if done["completed"] < done["payments"]:
        missing = {step: count for step, count in done["missing"].items() if count}
        found.append(f"{done['payments'] - done['completed']} payments are not complete: {missing}")
    if done["webhooks_given_up"]:
        found.append(f"the sandbox gave up {done['webhooks_given_up']} webhooks")
    if done["fraud_silent"] > done["payments"] * config.FRAUD_SILENT_SHARE_MAX:
        found.append(f"{done['fraud_silent']:.0f} payments were not scored in time")
    return found


def rig() -> dict[str, Any]:
    """The machine that the figures belong to."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    release = dict(line.split("=", 1) for line in _lines("/etc/os-release") if "=" in line)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": release.get("PRETTY_NAME", platform.system()).strip('"'),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []
