"""`reconciler` or `python -m reconciler`: deliveries, books, billing analytics."""

from datetime import timedelta
from functools import partial

from commdesk.reconciler.v1.reconciler_pb2_grpc import add_ReconcilerServiceServicer_to_server
from common import runtime
from reconciler import consumers, routes
from reconciler.domain.runs import Scope
from reconciler.gateways.delivery import DeliveryPeer
from reconciler.servicer import ReconcilerServicer
from reconciler.settings import Settings
from reconciler.use_cases.billing import BillingReports
from reconciler.use_cases.listings import Listings
from reconciler.use_cases.reconciliation import Policy, Reconciliation
from reconciler.use_cases.totals import totals


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "reconciler") as rt:
        platform = settings.platform_merchant_id
        peers = {name: DeliveryPeer(rt.channel(name, at)) if at else None for name, at in settings.addresses.items()}
        policy = Policy(
            tolerance=timedelta(seconds=settings.tolerance_seconds),
            overlap=timedelta(seconds=settings.overlap_seconds),
            platform_merchant_id=platform,
        )
        reconciliation = Reconciliation(rt.db, rt.clock, peers, policy)
        listings = Listings(rt.db, platform)
        rt.serve_http(routes.routes(reconciliation, listings, BillingReports(rt.db, rt.clock, platform)))
        rt.serve_grpc((add_ReconcilerServiceServicer_to_server, ReconcilerServicer(reconciliation, listings)))
        rt.consume(consumers.subscriptions())
        for scope, seconds in (
            (Scope.ALL, settings.reconciliation_seconds),
            (Scope.DELIVERIES, settings.delivery_check_seconds),
        ):
            rt.every(seconds, f"reconcile:{scope}", partial(reconciliation.run_scheduled, scope, seconds))
        rt.totals(totals)
        await rt.until_stopped()


def main() -> None:
    runtime.main("reconciler", Settings, service)


if __name__ == "__main__":
    main()
