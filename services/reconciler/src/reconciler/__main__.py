"""`reconciler` or `python -m reconciler`: deliveries, books, billing analytics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from commdesk.reconciler.v1.reconciler_pb2_grpc import add_ReconcilerServiceServicer_to_server
from common import runtime
from common.runtime import Job, Resources, Service
from reconciler import consumers, routes
from reconciler.domain.runs import Scope
from reconciler.gateways.delivery import DeliveryPeer
from reconciler.gateways.matching import FleetSources
from reconciler.servicer import ReconcilerServicer
from reconciler.settings import Settings
from reconciler.use_cases.billing import BillingReports
from reconciler.use_cases.cases import CaseWork
from reconciler.use_cases.figures import ReconciliationFigures
from reconciler.use_cases.listings import Listings
from reconciler.use_cases.matching import Matching
from reconciler.use_cases.reconciliation import Policy, Reconciliation
from reconciler.use_cases.totals import totals

FIGURES_SECONDS = 15.0


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db, clock, platform = resources.db, resources.clock, settings.platform_merchant_id
    peers = {name: DeliveryPeer(resources.channel(name, at)) if at else None for name, at in settings.addresses.items()}
    policy = Policy(
        tolerance=timedelta(seconds=settings.tolerance_seconds),
        overlap=timedelta(seconds=settings.overlap_seconds),
        platform_merchant_id=platform,
    )
    matching = _matching(settings, resources)
    reconciliation = Reconciliation(db, clock, peers, policy, matching)
    listings = Listings(db, platform)
    work = CaseWork(db, clock, platform, matching, resources.authorizer(settings.identity_address))
    periods = {Scope.ALL: settings.reconciliation_seconds, Scope.DELIVERIES: settings.delivery_check_seconds}
    yield Service(
        http=routes.routes(reconciliation, listings, BillingReports(db, clock, platform), work, peers),
        grpc=[(add_ReconcilerServiceServicer_to_server, ReconcilerServicer(reconciliation, listings, work))],
        subscriptions=consumers.subscriptions(),
        jobs=[
            Job(f"reconcile:{scope}", seconds, partial(reconciliation.run_scheduled, scope, seconds))
            for scope, seconds in periods.items()
        ]
        + [Job("figures", FIGURES_SECONDS, ReconciliationFigures(db, clock).export)],
        totals=totals,
    )


def _matching(settings: Settings, resources: Resources) -> Matching | None:
    addresses = {name: settings.addresses.get(name, "") for name in ("payment", "wallet", "ledger")}
    if not all(addresses.values()):
        return None
    sources = FleetSources(*(resources.channel(name, address) for name, address in addresses.items()))
    overlap = timedelta(seconds=settings.overlap_seconds)
    return Matching(resources.db, resources.clock, sources, settings.terms(), overlap)


def main() -> None:
    runtime.main("reconciler", Settings, service)


if __name__ == "__main__":
    main()
