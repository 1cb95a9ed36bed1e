"""The gRPC endpoints."""

from commdesk.fraud.v1 import fraud_pb2 as pb
from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceServicer
from common.clock import Clock
from common.database import Database
from common.grpc_server import CallContext
from fraud.in_flight import InFlightRequests
from fraud.use_cases import fraud_events, scores
from fraud.use_cases.rules import RuleCache
from fraud.wire import requests, views


class FraudServicer(FraudServiceServicer):
    """See protos/commdesk/fraud/v1/fraud.proto."""

    def __init__(self, db: Database, rule_cache: RuleCache, in_flight: InFlightRequests, clock: Clock) -> None:
        self._db = db
        self._rule_cache = rule_cache
        self._in_flight = in_flight
        self._clock = clock

    async def Score(self, request: pb.ScoreRequest, context: CallContext) -> pb.ScoreResponse:
        subjects = requests.subjects(request)
        rules = self._rule_cache.rules
        return views.score_response(
            await scores.score_subjects(self._db, rules, self._in_flight, self._clock, subjects)
        )

    async def ListFraudEvents(
        self, request: pb.ListFraudEventsRequest, context: CallContext
    ) -> pb.ListFraudEventsResponse:
        filter = requests.fraud_events_filter(request)
        return views.fraud_events_response(await fraud_events.list_fraud_events(self._db, filter))
