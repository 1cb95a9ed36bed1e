"""Refunds and disputes of a user feed the score of the next payment, by the rules as they are shipped."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from commdesk.payment.v1 import disputes_pb2, refunds_pb2
from commdesk.payment.v1.payment_pb2 import Payment
from common.clock import FakeClock
from common.database import Database
from common.events import micros
from common.testing import Served
from fraud import consumers
from fraud.domain import history
from fraud.domain.history import Outcome, PaymentOutcome
from fraud.domain.rules import Decision
from fraud.domain.scores import Score
from fraud.domain.subjects import Subject
from fraud.in_flight import InFlightRequests
from fraud.use_cases import scores
from fraud.use_cases.history import count_outcomes, forget_old_days
from fraud.use_cases.rules import RuleCache


class Past:
    """What became of payments, and how the next one is scored."""

    def __init__(self, db: Database, clock: FakeClock, in_flight: InFlightRequests) -> None:
        self.db, self.clock, self.in_flight = db, clock, in_flight
        self.rules = RuleCache()

    async def happened(self, *outcomes: Outcome, user: str = "usr_1", merchant: str = "mer_1") -> None:
        at = self.clock.now()
        async with self.db.begin() as tx:
            await count_outcomes(tx, [PaymentOutcome(each, merchant, user, at) for each in outcomes], self.clock)

    async def score(self, subject: Subject) -> Score:
        await self.rules.refresh(self.db)
        [score] = await scores.score_subjects(self.db, self.rules.rules, self.in_flight, self.clock, [subject])
        return score


@pytest.fixture
def past(db: Database, clock: FakeClock, in_flight: InFlightRequests) -> Past:
    return Past(db, clock, in_flight)


async def test_a_dispute_weighs_and_a_second_one_is_looked_at(past: Past, subject: Callable[..., Subject]) -> None:
    assert (await past.score(subject())).score == 0
    await past.happened(Outcome.DISPUTED)
    first = await past.score(subject())
    assert (first.decision, first.score, first.reasons) == (Decision.ALLOW, 300, ("user_disputed_180d",))
    past.clock.advance(timedelta(days=30).total_seconds())
    await past.happened(Outcome.DISPUTED)
    second = await past.score(subject())
    assert second.decision is Decision.REVIEW
    assert second.measured == {"user_disputed_180d": 2, "user_disputes_180d": 2}
    # Of this user of this merchant alone, and for half a year.
    for other in (subject(user_id="usr_2"), subject(merchant_id="mer_2")):
        assert (await past.score(other)).decision is Decision.ALLOW
    past.clock.advance(timedelta(days=149).total_seconds())
    assert (await past.score(subject())).measured == {"user_disputed_180d": 2, "user_disputes_180d": 2}
    past.clock.advance(timedelta(days=1).total_seconds())
    assert (await past.score(subject())).measured == {"user_disputed_180d": 1}


async def test_a_lost_dispute_sends_the_next_payments_to_a_person(past: Past, subject: Callable[..., Subject]) -> None:
    await past.happened(Outcome.DISPUTED, Outcome.DISPUTE_LOST)
    lost = await past.score(subject())
    assert (lost.decision, lost.score) == (Decision.REVIEW, 700)
    await past.happened(Outcome.DISPUTE_WON, user="usr_2")
    assert (await past.score(subject(user_id="usr_2"))).decision is Decision.ALLOW


async def test_many_refunds_are_watched(past: Past, subject: Callable[..., Subject]) -> None:
    await past.happened(*[Outcome.REFUNDED] * 4)
    assert "user_refunds_30d" not in (await past.score(subject())).shadow
    await past.happened(Outcome.REFUNDED)
    watched = await past.score(subject())
    assert watched.decision is Decision.ALLOW and "user_refunds_30d" in watched.shadow
    async with past.db.begin() as tx:
        await tx.execute("update history_rules set mode = 'ACTIVE' where metric = 'REFUNDED'")
    assert (await past.score(subject())).decision is Decision.REVIEW


async def test_days_that_no_rule_looks_at_are_forgotten(past: Past) -> None:
    await past.happened(Outcome.REFUNDED)
    past.clock.advance(timedelta(days=history.KEEP_DAYS).total_seconds())
    assert await forget_old_days(past.db, past.clock) == 0
    past.clock.advance(timedelta(days=1).total_seconds())
    assert await forget_old_days(past.db, past.clock) == 1


@pytest.mark.parametrize(
    ("message", "column"),
    [
        (refunds_pb2.PaymentRefunded(), "refunded"),
        (disputes_pb2.PaymentDisputed(), "disputed"),
        (disputes_pb2.PaymentDisputeWon(), "disputes_won"),
        (disputes_pb2.PaymentDisputeLost(), "disputes_lost"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
async def test_payments_events_are_counted(
    fraud: Served,
    message: refunds_pb2.PaymentRefunded
    | disputes_pb2.PaymentDisputed
    | disputes_pb2.PaymentDisputeWon
    | disputes_pb2.PaymentDisputeLost,
    column: str,
) -> None:
    now = fraud.resources.clock.now()
    message.payment.CopyFrom(Payment(merchant_id="mer_1", user_id="usr_1"))
    message.time_unix_micros = micros(now)
    nobody = type(message)(time_unix_micros=micros(now))
    await fraud.handle(consumers.QUEUE, [message, nobody, message])
    async with fraud.resources.db.begin() as tx:
        [row] = (await tx.execute(f"select key, day, {column} as number from history_days")).all()
    assert (row.key, row.day, row.number) == (history.history_key("mer_1", "usr_1"), history.day_of(now), 2)
