"""fraud: wire the service together and run it until told to stop."""

from datetime import timedelta
from functools import partial

from commdesk.fraud.v1.fraud_pb2_grpc import add_FraudServiceServicer_to_server
from common import runtime
from common.database import Tx
from common.delivery import Story
from fraud import consumers, store, use_cases, wire
from fraud.in_flight import InFlight
from fraud.servicer import FraudServicer
from fraud.settings import Settings

STORY_EVENTS_MAX = 100
PARTITIONS_SECONDS = 3600


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "fraud") as rt:
        book = use_cases.RuleBook()
        in_flight = InFlight(timedelta(seconds=settings.in_flight_seconds))
        await use_cases.keep_partitions(rt.db)
        await book.refresh(rt.db)
        rt.serve_grpc((add_FraudServiceServicer_to_server, FraudServicer(rt.db, book, in_flight, rt.clock)))
        rt.consume(consumers.subscriptions(in_flight, rt.clock))
        rt.every(settings.rules_refresh_seconds, "refresh_rules", partial(book.refresh, rt.db))
        rt.every(PARTITIONS_SECONDS, "velocity_partitions", partial(use_cases.keep_partitions, rt.db))
        rt.story(story)
        rt.totals(store.totals)
        await rt.until_stopped()


async def story(tx: Tx, reference: str) -> Story:
    return wire.story(await store.events(tx, reference, wire.payment_id(reference), STORY_EVENTS_MAX))


def main() -> None:
    runtime.main("fraud", Settings, service)


if __name__ == "__main__":
    main()
