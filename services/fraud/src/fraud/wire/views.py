"""What is answered: scores, stored decisions, timelines."""

from collections.abc import Iterable, Sequence

from commdesk.fraud.v1 import fraud_pb2
from common import ids
from common.delivery import Timeline, TimelineEntry
from common.events import micros
from fraud.domain.fraud_events import FraudEvent
from fraud.domain.scores import Score


def score_response(scores: Iterable[Score]) -> fraud_pb2.ScoreResponse:
    return fraud_pb2.ScoreResponse(
        scores=[
            fraud_pb2.Score(score=each.score, decision=int(each.decision), reasons=each.reasons)  # type: ignore[arg-type]
            for each in scores
        ]
    )


def fraud_events_response(events: Iterable[FraudEvent]) -> fraud_pb2.ListFraudEventsResponse:
    return fraud_pb2.ListFraudEventsResponse(
        events=[
            fraud_pb2.FraudEvent(
                fraud_event_id=ids.encode("evt", each.event_id),
                time_unix_micros=micros(each.at),
                payment_id=ids.encode("pay", each.payment_id),
                user_id=each.user_id,
                score=each.score,
                decision=int(each.decision),  # type: ignore[arg-type]
                reasons=each.reasons,
            )
            for each in events
        ]
    )


def timeline(events: Sequence[FraudEvent]) -> Timeline:
    """Addresses and devices are left out: operators paste timelines into tickets."""
    entries = [
        TimelineEntry(
            each.at,
            "fraud",
            f"{each.decision.name.lower()} at score {each.score}",
            {"paymentId": ids.encode("pay", each.payment_id), "reasons": ", ".join(each.reasons)},
        )
        for each in reversed(events)
    ]
    return Timeline(entries, sorted({ids.encode("pay", each.payment_id) for each in events}))
