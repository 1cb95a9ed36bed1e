"""python -m fraud: scores, rules, velocity."""

from datetime import timedelta
from functools import partial

from commdesk.fraud.v1.fraud_pb2_grpc import add_FraudServiceServicer_to_server
from common import runtime
from fraud import consumers
from fraud.in_flight import InFlightRequests
from fraud.servicer import FraudServicer
from fraud.settings import Settings
from fraud.use_cases import fraud_events, payment_activity
from fraud.use_cases.rules import RuleCache

PARTITIONS_SECONDS = 3600


async def service(settings: Settings) -> None:
    async with runtime.start(settings, "fraud") as rt:
        rule_cache = RuleCache()
        in_flight = InFlightRequests(timedelta(seconds=settings.in_flight_seconds))
        keep_partitions = partial(payment_activity.keep_partitions, rt.db)
        # Before the first call: without rules everything would be allowed.
        await keep_partitions()
        await rule_cache.refresh(rt.db)
        rt.serve_grpc((add_FraudServiceServicer_to_server, FraudServicer(rt.db, rule_cache, in_flight, rt.clock)))
        rt.consume(consumers.subscriptions(in_flight, rt.clock))
        rt.every(settings.rules_refresh_seconds, "refresh_rules", partial(rule_cache.refresh, rt.db))
        rt.every(PARTITIONS_SECONDS, "velocity_partitions", keep_partitions)
        rt.story(fraud_events.timeline)
        rt.totals(fraud_events.totals)
        await rt.until_stopped()


def main() -> None:
    runtime.main("fraud", Settings, service)


if __name__ == "__main__":
    main()
