"""python -m loadtests.restarts: restart every replica in turn under payments that arrive at a fixed rate.

Not one request may fail or be sent again, nothing may be lost or doubled. What was answered by whom shows that the
replicas worked.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import asyncpg
import typer
import uvloop

from loadtests import config, database, members, metrics, session
from loadtests.generator import Generator
from loadtests.percentiles import summary_ms
from loadtests.run import fetch
from ops import invariants, rolling_restart, stack
from ops.ports import Layout
from ops.private_files import write_private
from ops.progress import Progress
from ops.rolling_restart import Restarted

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

WARM_UP = 200
# The load goes on for so long after the last restart.
AFTER_SECONDS = 3.0


async def run(
    layout: Layout, description: Mapping[str, Any], rate: float, progress: Progress, services: Sequence[str] = ()
) -> dict[str, Any]:
    """Restart *services*, all of them when none is named: the figures, with what went wrong under "problems".

    Raises TimeoutError, RuntimeError, NotReplicated, StackFailed.
    """
    await warm_up(description, rate)
    await invariants.until_quiet(description, config.QUIET_SECONDS_MAX)
    order = rolling_restart.replicas(layout, services)
    return await under_load(description, rate, progress, partial(rolling_restart.restart, layout, progress, order))


async def warm_up(description: Mapping[str, Any], rate: float) -> None:
    """Payments that are not counted."""
    await _generator(description).run(WARM_UP, clients=16, rate=rate)


def _generator(description: Mapping[str, Any]) -> Generator:
    tokens = members.tokens(description["jwt_secret"], config.MEMBERS_MIN * 8)
    return Generator(description["edge_url"], description["sandbox_url"], tokens)


async def under_load(
    description: Mapping[str, Any], rate: float, progress: Progress, work: Callable[[], Sequence[Restarted]]
) -> dict[str, Any]:
    """Do *work*, which replaces replicas of a quiet stack, under payments: the figures as `run` returns them."""
    generator = _generator(description)
    before = await _deliveries(description)
    load = asyncio.create_task(generator.run(config.PAYMENTS_MAX, clients=0, rate=rate))
    try:
        restarted = await asyncio.to_thread(work)
        await asyncio.sleep(AFTER_SECONDS)
    finally:
        generator.stop()
        outcome = await load
    progress.done(f"{len(outcome.payment_ids)} payments created; waiting until all is quiet")
    await invariants.until_quiet(description, 2 * config.QUIET_SECONDS_MAX)
    broken = [str(violation) for violation in await invariants.violations(description)]
    webhooks = {name: count - before[name] for name, count in (await _deliveries(description)).items()}
    async with database.connect(description) as db:
        steps = await database.reached(db, outcome.payment_ids, outcome.started_at - 1)
    complete = len(database.completed(steps))
    problems = [
        *([f"failed: {dict(outcome.failures)}"] if outcome.failures else []),
        *([f"sent again: {dict(outcome.again)}"] if outcome.again else []),
        *([f"{len(outcome.payment_ids) - complete} are not complete"] if complete < len(outcome.payment_ids) else []),
        *([f"webhooks failed: {webhooks['failed_attempts']}"] if webhooks["failed_attempts"] else []),
        *(f"violated: {violation}" for violation in broken),
    ]
    return {
        "rate": rate,
        "payments": len(outcome.payment_ids),
        "complete": complete,
        "failed": outcome.failures.total(),
        "sent_again": outcome.again.total(),
        "webhooks": webhooks,
        "create_ms": summary_ms(outcome.create_seconds),
        "restarts": [
            {"name": each.name, "drain_seconds": each.drain_seconds, "start_seconds": each.start_seconds}
            for each in restarted
        ],
        "answered": await answered(description),
        "invariants": len(invariants.CHECKS),
        "problems": problems,
    }


async def _deliveries(description: Mapping[str, Any]) -> dict[str, int]:
    """How the gateway's webhooks have fared since its start."""
    webhooks = json.loads(await fetch(f"{description['sandbox_url']}/control/stats"))["webhooks"]
    return {name: webhooks[name] for name in ("delivered", "failed_attempts", "given_up", "refused")}


async def answered(description: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """By replica: requests and calls that it has answered, and events that it has handled, since its start."""
    counted: dict[str, dict[str, int]] = {}
    for service in description["services"].values():
        for replica, addresses in service["replicas"].items():
            samples = metrics.parse((await fetch(f"{addresses['http']}/metrics")).decode())
            counted[replica] = {
                "http": int(metrics.total(samples, "commdesk_http_requests_total")),
                "grpc": int(metrics.total(samples, "commdesk_grpc_requests_total")),
                "events": int(metrics.total(samples, "commdesk_queue_batch_events_sum")),
            }
    return counted


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The figures for people."""
    yield (
        f"{found['payments']} payments at {found['rate']:.0f}/s, {found['complete']} complete,"
        f" {found['failed']} failed, {found['sent_again']} sent again; create p50 {found['create_ms']['p50']:.0f} ms,"
        f" p99 {found['create_ms']['p99']:.0f} ms, at most {found['create_ms']['max']:.0f} ms"
    )
    yield "webhooks: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in found["webhooks"].items())
    yield f"{len(found['restarts'])} replicas restarted; answered and handled since their start:"
    for name, counts in found["answered"].items():
        yield f"  {name:18}" + "".join(f"{count:>9} {what}" for what, count in counts.items())
    yield f"{found['invariants']} invariants: {'hold' if not found['problems'] else 'see below'}"


@app.command(help=__doc__)
def main(
    rate: Annotated[float, typer.Option(envvar="RATE", min=1, max=1000, help="Payments a second.")] = 100.0,
) -> None:
    layout, progress = Layout.from_environment(), Progress()
    try:
        found = uvloop.run(run(layout, session.stack_at(layout), rate, progress))
    except (
        *(ValueError, RuntimeError, TimeoutError, OSError, asyncpg.PostgresError),
        *(rolling_restart.NotReplicated, stack.StackFailed),
    ) as error:
        progress.failed(str(error) or type(error).__name__)
        raise typer.Exit(1) from None
    write_private(layout.run_dir / "restarts.json", json.dumps(found, indent=2) + "\n")
    for line in lines(found):
        typer.echo(line)
    for problem in found["problems"]:
        progress.failed(problem)
    raise typer.Exit(1 if found["problems"] else 0)


if __name__ == "__main__":
    app()
