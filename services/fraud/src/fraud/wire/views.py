"""What is answered: scores, stored decisions, timelines."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from commdesk.fraud.v1 import fraud_pb2
from common import ids, pages
from common.delivery import Timeline, TimelineEntry
from common.events import micros
from common.pages import Page
from common.times import rfc3339
from fraud.domain.fraud_events import FraudEvent
from fraud.domain.reviews import Review
from fraud.domain.scores import Score


class ReviewView(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A flagged payment and what a person decided about it."""

    payment_id: str
    user_id: str
    score: int
    reasons: list[str]
    opened_at: str
    verdict: str = ""
    decided_at: str = ""
    decided_by: str = ""
    reason: str = ""


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


def review_view(review: Review) -> ReviewView:
    return ReviewView(
        ids.encode("pay", review.payment_id),
        review.user_id,
        review.score,
        list(review.reasons),
        rfc3339(review.opened_at),
        verdict=review.verdict or "",
        decided_at=rfc3339(review.decided_at) if review.decided_at else "",
        decided_by=review.actor_id,
        reason=review.reason,
    )


def reviews_page(reviews: Sequence[Review], limit: int) -> Page[ReviewView]:
    """*reviews* holds one more than the page when there is a next one."""
    return pages.page(reviews, limit, review_view, lambda last: pages.encode_cursor(last.payment_id))


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
