"""HTTP endpoints: staff review flagged payments."""

from functools import partial
from typing import Any

from common import ids
from common.authorization import ACT_ERRORS
from common.database import Database
from common.http_server import Call, Route
from common.pages import CursorInvalid, Page
from fraud.domain.reviews import ReviewDecided, ReviewNotFound
from fraud.use_cases import reviews
from fraud.use_cases.reviews import DECIDE, Reviews
from fraud.wire import requests, views
from fraud.wire.requests import DecisionBody, ReviewsQuery
from fraud.wire.views import ReviewView

PREFIX = "/api/v1/fraud/reviews"
_DECISION_ERRORS = (ids.IdInvalid, ReviewNotFound, ReviewDecided, *ACT_ERRORS)


def routes(db: Database, decisions: Reviews) -> list[Route[Any]]:
    return [
        Route("GET", PREFIX, partial(list_reviews, db), query=ReviewsQuery, answer=Page[ReviewView],
              permission="fraud_reviews.read", errors=[CursorInvalid]),
        Route("POST", f"{PREFIX}/{{paymentId}}/decision", partial(decide_review, decisions), body=DecisionBody,
              answer=ReviewView, permission=DECIDE, errors=_DECISION_ERRORS),
    ]  # fmt: skip


async def list_reviews(db: Database, call: Call[None, ReviewsQuery]) -> Page[ReviewView]:
    """The merchant's flagged payments, newest first: those that wait for a decision unless asked otherwise."""
    filter = requests.reviews_filter(call.query, call.caller.merchant_id)
    return views.reviews_page(await reviews.list_reviews(db, filter), call.query.limit)


async def decide_review(decisions: Reviews, call: Call[DecisionBody]) -> ReviewView:
    """Release a flagged payment or refuse it, once; payment carries the decision out."""
    payment_id = ids.decode("pay", call.path["paymentId"])
    return views.review_view(await decisions.decide(call.caller, payment_id, call.body.verdict, call.body.reason))
