"""The gRPC door."""

from typing import Any

import grpc.aio

from commdesk.fraud.v1 import fraud_pb2 as pb
from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceServicer
from common.clock import Clock
from common.database import Database
from fraud import use_cases, wire
from fraud.in_flight import InFlight
from fraud.use_cases import RuleBook

Context = grpc.aio.ServicerContext[Any, Any]


class FraudServicer(FraudServiceServicer):
    """See protos/commdesk/fraud/v1/fraud.proto."""

    def __init__(self, db: Database, book: RuleBook, in_flight: InFlight, clock: Clock) -> None:
        self._db = db
        self._book = book
        self._in_flight = in_flight
        self._clock = clock

    async def Score(self, request: pb.ScoreRequest, context: Context) -> pb.ScoreResponse:
        scores = await use_cases.score_subjects(
            self._db, self._book.rules, self._in_flight, self._clock, wire.subjects(request)
        )
        return wire.score_response(scores)

    async def ListFraudEvents(self, request: pb.ListFraudEventsRequest, context: Context) -> pb.ListFraudEventsResponse:
        return wire.events_response(await use_cases.list_events(self._db, wire.events_asked(request)))
