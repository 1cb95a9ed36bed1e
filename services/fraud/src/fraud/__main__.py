"""python -m fraud: scores, rules, velocity."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from commdesk.fraud.v1.fraud_pb2_grpc import add_FraudServiceServicer_to_server
from common import runtime
from common.runtime import Job, Resources, Service
from fraud import consumers, routes
from fraud.in_flight import InFlightRequests
from fraud.servicer import FraudServicer
from fraud.settings import Settings
from fraud.store.personal_data import PERSONAL_DATA
from fraud.use_cases import fraud_events, history, payment_activity, subject_lists
from fraud.use_cases.reviews import Reviews
from fraud.use_cases.rules import RuleCache

PARTITIONS_SECONDS = 3600
ORIGINS_SECONDS = 3600
HISTORY_SECONDS = 3600


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    rule_cache = RuleCache()
    in_flight = InFlightRequests(timedelta(seconds=settings.in_flight_seconds))
    keep_partitions = partial(payment_activity.keep_partitions, resources.db)
    # Before the first call: without rules and block lists everything would be allowed.
    await keep_partitions()
    await rule_cache.refresh(resources.db)
    seal_entries = partial(subject_lists.seal_entries, resources.db)
    await seal_entries()
    keep_origins = timedelta(days=settings.origin_keep_days)
    servicer = FraudServicer(resources.db, rule_cache, in_flight, resources.clock)
    reviews = Reviews(resources.db, resources.clock, resources.authorizer(settings.identity_address))
    yield Service(
        http=routes.routes(resources.db, reviews),
        grpc=[(add_FraudServiceServicer_to_server, servicer)],
        subscriptions=consumers.subscriptions(rule_cache, in_flight, resources.clock, resources.sealer),
        jobs=[
            Job("refresh_rules", settings.rules_refresh_seconds, partial(rule_cache.refresh, resources.db)),
            Job("seal_list_entries", settings.rules_refresh_seconds, seal_entries),
            Job("velocity_partitions", PARTITIONS_SECONDS, keep_partitions),
            Job("forget_history", HISTORY_SECONDS, partial(history.forget_old_days, resources.db, resources.clock)),
            Job("clear_origins", ORIGINS_SECONDS, partial(fraud_events.clear_origins, resources.db, keep_origins)),
        ],
        timeline=fraud_events.timeline,
        totals=fraud_events.totals,
        personal_data=PERSONAL_DATA,
    )


def main() -> None:
    runtime.main("fraud", Settings, service)


if __name__ == "__main__":
    main()
