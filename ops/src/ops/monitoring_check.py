"""`make monitoring-check`: every rule and every panel against a real Prometheus that scrapes the running stack.

Payments are made meanwhile. A target that is down, an expression that Prometheus refuses and a panel without data
fail it.
"""

import asyncio
import math
import sys
import time
from collections.abc import Sequence

import typer
from msgspec import Struct

from commdesk.reconciler.v1 import reconciler_pb2
from ops import fleet_client, journey, monitoring_files, monitoring_servers
from ops.fleet_client import FleetClient
from ops.monitoring_files import RATE_INTERVAL, Panel
from ops.monitoring_servers import Servers
from ops.monitoring_trial import ACTOR, Trial
from ops.ports import Layout
from ops.progress import Progress

SCRAPE_SECONDS = 2
# Of rates: long enough that the payments before the comparison of the books are in it.
RATE_RANGE = "60s"
# The reconciler exports what its last run found within this time.
FIGURES_SECONDS = 15
PACK = "pack_500"
# Fraud's rules refuse who pays more often in a short time.
PAYMENTS_OF_ONE = 5


class PanelResult(Struct, frozen=True):
    """What a panel shows now: how many series have a value, and the first of them."""

    panel: Panel
    series: int
    sample: str


def check(
    seconds: float = typer.Option(90.0, help="How long payments are made before the panels are read."),
    clients: int = typer.Option(4, help="Customers who pay at the same time."),
    alerts: bool = typer.Option(False, help="Then break the stack, a disposable one, and see its alerts come and go."),
) -> None:
    """Scrape the running stack with a real Prometheus, make payments, read every panel and every rule."""
    layout, progress = Layout.from_environment(), Progress()
    with monitoring_servers.servers(layout, layout.run_dir / "monitoring", scrape_seconds=SCRAPE_SECONDS) as servers:
        progress.done(f"Prometheus at {servers.prometheus_url}, Alertmanager at {servers.alertmanager_url}")
        asyncio.run(_make_payments(layout, seconds, clients))
        progress.done(f"payments made for {seconds:.0f} s")
        problems = [f"target {url} is {health}" for url, health in servers.targets().items() if health != "up"]
        results = [read_panel(servers, panel) for panel in monitoring_files.panels()]
        for result in results:
            print(f"{result.panel.dashboard:10} {result.panel.title:60} {result.series:4}  {result.sample}")
        problems += [
            f"no data: {result.panel.dashboard}: {result.panel.title}" for result in results if not result.series
        ]
        for rule in monitoring_files.rules():
            servers.query(rule.expression)
        if alerts:
            asyncio.run(_break(layout, servers, progress))
        firing = sorted({labels["alertname"] for labels in servers.firing()})
        progress.note(
            f"{len(results)} panels, {len(monitoring_files.rules())} rules; firing: {', '.join(firing) or 'none'}"
        )
    for problem in problems:
        progress.failed(problem)
    sys.exit(1 if problems else 0)


def read_panel(servers: Servers, panel: Panel) -> PanelResult:
    """The newest values of a panel; what is not a number is no value."""
    found = []
    for expression in panel.expressions:
        found += [
            (labels, value)
            for labels, value in servers.query(expression.replace(RATE_INTERVAL, RATE_RANGE))
            if not math.isnan(value)
        ]
    labels, value = max(found, key=lambda each: abs(each[1]), default=({}, math.nan))
    return PanelResult(panel, len(found), f"{' '.join(labels.values())} {value:.4g}" if found else "")


async def _make_payments(layout: Layout, seconds: float, clients: int) -> None:
    """Customers sign up and pay, one payment after another; every tenth fails. Then the books are compared."""
    end = time.monotonic() + seconds
    async with fleet_client.connect(layout) as fleet:
        await asyncio.gather(*(_customer(fleet, end) for _ in range(clients)))
        # Now the dashboard of the money has something to show; the reconciler's own period is a quarter of an hour.
        await fleet.reconciler().Run(reconciler_pb2.RunRequest(actor=ACTOR), timeout=60)
    await asyncio.sleep(FIGURES_SECONDS + 2 * SCRAPE_SECONDS)


async def _break(layout: Layout, servers: Servers, progress: Progress) -> None:
    async with fleet_client.connect(layout) as fleet:
        async for seen in Trial(layout, fleet, servers).run():
            progress.done(
                f"{seen.alert} at Alertmanager after {seen.fired_seconds:.0f} s, mailed after "
                f"{seen.mailed_seconds:.0f} s, over {seen.over_seconds:.0f} s after the repair"
            )


async def _customer(fleet: FleetClient, end: float) -> None:
    number = 0
    while time.monotonic() < end:
        if number % PAYMENTS_OF_ONE == 0:
            member = await journey.sign_up(fleet)
        number += 1
        created = await journey.create(fleet, member, pack_id=PACK)
        await journey.pay(fleet, created["orderId"], outcome="failure" if number % 10 == 0 else "success")


def main(arguments: Sequence[str] | None = None) -> None:
    typer.run(check)


if __name__ == "__main__":
    main()
