"""`reconciler` or `python -m reconciler`: wire the service together and run it until told to stop."""

from datetime import timedelta
from functools import partial

from commdesk.reconciler.v1.reconciler_pb2_grpc import add_ReconcilerServiceServicer_to_server
from common import runtime
from reconciler import consumers, routes, use_cases
from reconciler.domain import Scope
from reconciler.gateways.delivery import DeliveryPeer
from reconciler.servicer import ReconcilerServicer
from reconciler.settings import Settings
from reconciler.use_cases import Reconciliation


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "reconciler") as rt:
        reconciliation = Reconciliation(
            db=rt.db,
            clock=rt.clock,
            peers={name: DeliveryPeer(rt.channel(name, at)) for name, at in settings.addresses.items() if at},
            unknown=[name for name, address in settings.addresses.items() if not address],
            settle=timedelta(seconds=settings.settle_seconds),
            overlap=timedelta(seconds=settings.overlap_seconds),
            merchant_id=settings.platform_merchant_id,
        )
        rt.serve_http(routes.routes(rt.db, reconciliation, rt.clock, settings.platform_merchant_id))
        rt.serve_grpc((add_ReconcilerServiceServicer_to_server, ReconcilerServicer(rt.db, reconciliation)))
        rt.consume(consumers.subscriptions())
        for scope, seconds in (
            (Scope.ALL, settings.reconciliation_seconds),
            (Scope.DELIVERIES, settings.delivery_check_seconds),
        ):
            rt.every(seconds, f"reconcile:{scope}", partial(reconciliation.scheduled, scope, seconds))
        rt.totals(use_cases.totals)
        await rt.until_stopped()


def main() -> None:
    runtime.main("reconciler", Settings, service)


if __name__ == "__main__":
    main()
