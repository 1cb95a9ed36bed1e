"""`ledger` or `python -m ledger`: wire the service together and run it until told to stop."""

from functools import partial

from commdesk.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from common import runtime
from ledger import consumers, use_cases
from ledger.servicer import LedgerServicer
from ledger.settings import Settings


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "ledger") as rt:
        rt.serve_grpc((add_LedgerServiceServicer_to_server, LedgerServicer(rt.db)))
        rt.consume(consumers.subscriptions())
        rt.every(settings.snapshot_seconds, "snapshots", partial(use_cases.take_snapshot, rt.db))
        rt.story(use_cases.story)
        rt.totals(use_cases.totals)
        await rt.until_stopped()


def main() -> None:
    runtime.main("ledger", Settings, service)


if __name__ == "__main__":
    main()
