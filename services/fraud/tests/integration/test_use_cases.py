"""Scoring and counting against a real Postgres with the rules as they are shipped."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from asyncpg import PostgresError

from common import ids
from common.clock import FakeClock
from common.database import Database
from common.testing import published
from fraud.domain.fraud_events import FraudEventsFilter
from fraud.domain.rules import Decision
from fraud.domain.scores import Score
from fraud.domain.subjects import Dimension, Subject, subject_keys
from fraud.domain.velocity import Metric, PaymentActivity
from fraud.in_flight import InFlightRequests
from fraud.store import commands, queries
from fraud.use_cases import fraud_events, payment_activity, scores, subject_lists
from fraud.use_cases.rules import RuleCache

ScoreThem = Callable[..., Awaitable[list[Score]]]
Count = Callable[..., Awaitable[None]]
BuildSubject = Callable[..., Subject]
BuildActivity = Callable[..., PaymentActivity]


@pytest.fixture
async def rule_cache(db: Database) -> RuleCache:
    rule_cache = RuleCache()
    await rule_cache.refresh(db)
    return rule_cache


@pytest.fixture
def score(db: Database, rule_cache: RuleCache, in_flight: InFlightRequests, clock: FakeClock) -> ScoreThem:
    async def score(*subjects: Subject) -> list[Score]:
        return await scores.score_subjects(db, rule_cache.rules, in_flight, clock, subjects)

    return score


@pytest.fixture
def count(db: Database, rule_cache: RuleCache, in_flight: InFlightRequests, clock: FakeClock) -> Count:
    async def count(*activities: PaymentActivity) -> None:
        async with db.begin() as tx:
            await payment_activity.count_activities(tx, activities, rule_cache.rules, in_flight, clock)

    return count


async def test_a_user_who_pays_too_often_is_reviewed_then_blocked(
    db: Database, score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    decisions = []
    for _ in range(35):
        one = subject()
        [answer] = await score(one)
        decisions.append(answer.decision)
        await count(activity(Metric.CREATED, one))
    assert decisions == [Decision.ALLOW] * 10 + [Decision.REVIEW] * 20 + [Decision.BLOCK] * 5
    events = await published(db)
    assert Counter(key for key, _ in events) == {"fraud.flagged": 20, "email.admin.alert": 25}
    flag = next(message for key, message in events if key == "fraud.flagged")
    assert flag.reasons == ["user_creates_1m"]  # type: ignore[attr-defined]
    async with db.begin() as tx:
        assert await fraud_events.totals(tx) == {"fraud.reviews": 20, "fraud.reviews.open": 20, "fraud.blocks": 5}


async def test_a_burst_counts_before_its_events_are_counted(score: ScoreThem, subject: BuildSubject) -> None:
    answers = await asyncio.gather(*(score(subject()) for _ in range(12)))
    assert Counter(answer.decision for [answer] in answers) == {Decision.ALLOW: 10, Decision.REVIEW: 2}
    batch = await score(*(subject("usr_2") for _ in range(12)))
    assert Counter(answer.decision for answer in batch) == {Decision.ALLOW: 10, Decision.REVIEW: 2}


async def test_a_payment_is_flagged_once_and_when_it_exists(
    db: Database, score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    await score(*(subject() for _ in range(10)))
    one, never_made = subject(), subject()
    for _ in range(3):
        assert [answer.decision for answer in await score(one, never_made)] == [Decision.REVIEW] * 2
    await count(activity(Metric.FAILED, one), activity(Metric.CREATED, subject()))
    assert await published(db, "fraud.flagged") == []
    assert len(await published(db, "email.admin.alert")) == 1
    await count(activity(Metric.CREATED, one), activity(Metric.CREATED, subject()))
    [(_, flag)] = await published(db, "fraud.flagged")
    assert flag.payment_id == ids.encode("pay", one.payment_id)  # type: ignore[attr-defined]
    assert (flag.merchant_id, flag.score, flag.reasons) == ("mer_1", 500, ["user_creates_1m"])  # type: ignore[attr-defined]
    await count(activity(Metric.SUCCEEDED, one))
    assert len(await published(db, "fraud.flagged")) == 1


async def test_a_blocked_payment_is_never_flagged(
    db: Database, score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    await score(*(subject() for _ in range(30)))
    one = subject()
    assert (await score(one))[0].decision is Decision.BLOCK
    await count(activity(Metric.CREATED, one))
    assert await published(db, "fraud.flagged") == []


async def test_a_client_that_tries_one_request_for_long_is_allowed(
    db: Database, score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    tries = [subject(request_key="key-1") for _ in range(40)]
    answers = [*await score(*tries[:20]), *await asyncio.gather(*(_first(score, each) for each in tries[20:]))]
    assert {answer.decision for answer in answers} == {Decision.ALLOW}
    await count(activity(Metric.CREATED, tries[7]))
    others = await score(*(subject(request_key=f"key-{number}") for number in range(2, 13)))
    assert Counter(answer.decision for answer in others) == {Decision.ALLOW: 9, Decision.REVIEW: 2}
    assert len(await published(db)) == 1


async def _first(score: ScoreThem, subject: Subject) -> Score:
    [answer] = await score(subject)
    return answer


async def test_repeated_failures(
    score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    one = subject()
    for seconds_ago in (500, 300, 200, 100):
        await count(activity(Metric.FAILED, one, seconds_ago))
    assert (await score(subject()))[0].decision is Decision.ALLOW
    await count(activity(Metric.FAILED, one))
    [answer] = await score(subject())
    assert (answer.decision, answer.reasons) == (Decision.REVIEW, ("user_failures_10m",))


# ── Failed attempts: cards that are tried on one order ───────────────────────────────────────────────────────────────


async def test_cards_tried_on_one_order_flag_its_payment_once(
    db: Database, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    one = subject()
    await count(activity(Metric.CREATED, one))
    for seconds_ago in (40, 30, 20, 10):
        await count(activity(Metric.ATTEMPT_FAILED, one, seconds_ago))
    assert await published(db, "fraud.flagged") == []
    for _ in range(3):
        await count(activity(Metric.ATTEMPT_FAILED, one))
    [(_, flag)] = await published(db, "fraud.flagged")
    assert (flag.payment_id, flag.reasons) == (  # type: ignore[attr-defined]
        ids.encode("pay", one.payment_id),
        ["order_attempts_failed_1h"],
    )
    [(_, alert)] = await published(db, "email.admin.alert")
    assert alert.cause == "fraud_anomaly"  # type: ignore[attr-defined]


async def test_all_failed_attempts_of_an_order_may_come_in_one_batch(
    db: Database, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    """As they do after an outage, before their payment's creation is counted and again with it."""
    one = subject()
    await count(*(activity(Metric.ATTEMPT_FAILED, one) for _ in range(5)))
    await count(activity(Metric.CREATED, one), activity(Metric.ATTEMPT_FAILED, one))
    assert len(await published(db, "fraud.flagged")) == 1


async def test_failed_attempts_spread_over_orders_count_for_the_user(
    db: Database, score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    orders = [subject() for _ in range(5)]
    for one in orders:
        await count(*(activity(Metric.ATTEMPT_FAILED, one) for _ in range(2)))
    [(_, flag)] = await published(db, "fraud.flagged")
    assert (flag.payment_id, flag.reasons) == (  # type: ignore[attr-defined]
        ids.encode("pay", orders[-1].payment_id),
        ["user_attempts_failed_10m"],
    )
    [answer] = await score(subject())
    assert (answer.decision, answer.reasons) == (Decision.REVIEW, ("user_attempts_failed_10m",))
    assert (await score(subject("usr_2")))[0].decision is Decision.ALLOW


async def test_failed_attempts_of_strangers_at_one_address_only_watch(
    db: Database, score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    await count(*(activity(Metric.ATTEMPT_FAILED, subject(f"usr_{number}")) for number in range(101)))
    [answer] = await score(subject("usr_new"))
    assert (answer.decision, answer.shadow) == (Decision.ALLOW, ("ip_attempts_failed_10m",))
    assert await published(db) == []


async def test_a_listed_user_is_not_flagged_for_failed_attempts(
    db: Database, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    async with db.begin() as tx:
        await tx.execute(
            "insert into subject_lists (verdict, dimension, merchant_id, value, reason, actor)"
            " values ('ALLOW', 'USER', 'mer_1', 'usr_1', 'test cards', 'operator:test')"
        )
    await subject_lists.seal_entries(db)
    one = subject()
    await count(*(activity(Metric.ATTEMPT_FAILED, one) for _ in range(20)))
    assert await published(db) == []


async def test_windows_pass(
    score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity, clock: FakeClock
) -> None:
    await count(*(activity(Metric.CREATED, subject()) for _ in range(40)))
    assert (await score(subject()))[0].decision is Decision.BLOCK
    clock.advance(125)
    assert (await score(subject()))[0].decision is Decision.ALLOW


async def test_one_address_with_thousands_of_users_is_not_stopped(
    db: Database, score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    """What a load run looks like: it is seen, by the rules that watch, and goes through."""
    subjects = [subject(f"usr_{number}") for number in range(1000)]
    await count(*(activity(Metric.CREATED, each) for each in subjects))
    answers = await score(*(subject(f"usr_{number}") for number in range(500)))
    assert {answer.decision for answer in answers} == {Decision.ALLOW}
    assert "ip_creates_1m" in answers[0].shadow
    assert await published(db) == []


async def test_the_same_amount_again_is_seen(score: ScoreThem, subject: BuildSubject) -> None:
    assert "duplicate_payment" not in (await score(subject(paise=15_000)))[0].shadow
    assert "duplicate_payment" in (await score(subject(paise=15_000)))[0].shadow
    assert "duplicate_payment" not in (await score(subject(paise=30_000)))[0].shadow


async def test_a_new_device_of_a_user_with_history(
    score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    assert "device_new_for_user" not in (await score(subject(device_id="phone")))[0].shadow
    await count(activity(Metric.CREATED, subject(device_id="phone")))
    assert "device_new_for_user" not in (await score(subject(device_id="phone")))[0].shadow
    assert "device_new_for_user" in (await score(subject(device_id="other")))[0].shadow
    assert "ip_new_for_user" in (await score(subject(ip="9.9.9.9")))[0].shadow


@pytest.mark.parametrize(
    ("verdict", "dimension", "value", "expires", "decision"),
    [
        ("BLOCK", "IP", "1.2.3.4", None, Decision.BLOCK),
        ("BLOCK", "USER", "usr_1", 60, Decision.BLOCK),
        ("BLOCK", "USER", "usr_1", -60, Decision.ALLOW),
        ("BLOCK", "USER", "usr_2", None, Decision.ALLOW),
        ("ALLOW", "DEVICE", "dev", None, Decision.ALLOW),
        ("BLOCK", "DEVICE", "1.2.3.4", None, Decision.ALLOW),
    ],
)
async def test_lists(
    db: Database, score: ScoreThem, subject: BuildSubject, clock: FakeClock, verdict: str, dimension: str, value: str,
    expires: int | None, decision: Decision,
) -> None:  # fmt: skip
    async with db.begin() as tx:
        await tx.execute(
            """insert into subject_lists (verdict, dimension, merchant_id, value, reason, actor, expires_at)
               values (:verdict, :dimension, 'mer_1', :value, 'test', 'operator:test', :expires_at)""",
            verdict=verdict,
            dimension=dimension,
            value=value,
            expires_at=None if expires is None else clock.now() + timedelta(seconds=expires),
        )
    await subject_lists.seal_entries(db)
    [answer] = await score(subject(device_id="dev"))
    assert answer.decision is decision
    assert (answer.reasons != ()) == (decision is Decision.BLOCK or verdict == "ALLOW")


async def test_listing_one_user_lists_no_other_by_where_a_name_is_split(
    db: Database, score: ScoreThem, subject: BuildSubject
) -> None:
    async with db.begin() as tx:
        await tx.execute(
            """insert into subject_lists (verdict, dimension, merchant_id, value, reason, actor)
               values ('BLOCK', 'USER', 'mer_1|a', 'b', 'test', 'operator:test')"""
        )
    await subject_lists.seal_entries(db)
    [answer] = await score(subject("a|b"))
    assert answer.decision is Decision.ALLOW


async def test_rules_are_data(db: Database, rule_cache: RuleCache, score: ScoreThem, subject: BuildSubject) -> None:
    async with db.begin() as tx:
        await tx.execute("update rules set threshold = 0 where name = 'user_creates_1m'")
    assert (await score(subject()))[0].decision is Decision.ALLOW
    await rule_cache.refresh(db)
    nothing_in_flight = InFlightRequests(timedelta(seconds=1))
    in_force = await scores.score_subjects(db, rule_cache.rules, nothing_in_flight, FakeClock(), [subject()])
    assert in_force[0].reasons == ("user_creates_1m",)


async def test_counters_lose_nothing_to_parallel_consumers(
    db: Database, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    """Many transactions over the same keys, in different orders: no deadlock, every event counted."""
    subjects = [subject(f"usr_{number}", ip=f"10.0.0.{number % 3}") for number in range(20)]
    orders = [subjects, subjects[::-1], subjects[10:] + subjects[:10]] * 5
    await asyncio.gather(*(count(*(activity(Metric.CREATED, each) for each in order)) for order in orders))
    async with db.begin() as tx:
        keys = [subject_keys(each)[Dimension.USER] for each in subjects]
        created = await tx.execute(
            "select sum(created) from velocity_buckets where key = any(cast(:keys as uuid[]))", keys=keys
        )
        assert created.scalar_one() == len(orders) * len(subjects)


async def test_history_keeps_first_and_last(
    db: Database, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    one = subject(device_id="phone")
    await count(activity(Metric.CREATED, one, 7200))
    await count(activity(Metric.CREATED, one), activity(Metric.CREATED, one, 9000))
    async with db.begin() as tx:
        rows = (await tx.execute("select dimension, last_seen - first_seen as span from user_sources")).all()
    assert {row.dimension: row.span for row in rows} == {
        "IP": timedelta(seconds=9000), "DEVICE": timedelta(seconds=9000)
    }  # fmt: skip


async def test_partitions_come_and_go(
    db: Database, owner_db: Database, activity: BuildActivity, count: Count, subject: BuildSubject
) -> None:
    """Counters of FakeClock's day lie in the default partition here; the days around today have their own."""
    await count(activity(Metric.CREATED, subject()))
    async with owner_db.begin() as tx:
        await tx.execute(
            "create table velocity_buckets_100 partition of velocity_buckets for values from (144000) to (145440)"
        )
    await payment_activity.keep_partitions(db)
    await payment_activity.keep_partitions(db)
    async with db.begin() as tx:
        days = (
            await tx.execute("select count(*) from pg_inherits where inhparent = cast('velocity_buckets' as regclass)")
        ).scalar_one()
    assert days == 5
    with pytest.raises(PostgresError, match="must be owner"):
        async with db.begin() as tx:
            await tx.execute("drop table velocity_buckets_default")


async def test_decisions_cannot_be_rewritten(db: Database) -> None:
    with pytest.raises(PostgresError, match="permission denied"):
        async with db.begin() as tx:
            await tx.execute("update fraud_events set decision = 'REVIEW'")


async def test_a_call_is_well_within_its_deadline(
    score: ScoreThem, count: Count, subject: BuildSubject, activity: BuildActivity
) -> None:
    """64 subjects at an address that has been busy for an hour; the caller waits for 50 ms at most."""
    for minutes_ago in range(60):
        await count(*(activity(Metric.CREATED, subject(f"usr_{n}"), minutes_ago * 60) for n in range(50)))
    await score(subject())
    seconds = []
    for call in range(40):
        subjects = [subject(f"usr_{call}_{number}") for number in range(64)]
        started = time.perf_counter()
        await score(*subjects)
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] < 0.05


async def test_a_decision_is_found_by_an_address_that_it_does_not_hold(
    db: Database, subject: BuildSubject, clock: FakeClock
) -> None:
    caught = subject(ip="198.51.100.77", device_id="device-77")
    decision = Score(caught, 900, Decision.BLOCK, ("velocity",))
    async with db.begin() as tx:
        await commands.insert_decisions(tx, [decision], clock.now())
        [row] = (await tx.execute("select cast(row as text) from fraud_events as row")).scalars()
        found = {
            reference: len(await queries.fraud_events(tx, FraudEventsFilter(reference, None, 10)))
            for reference in ("198.51.100.77", "device-77", caught.user_id, "198.51.100.78", "")
        }
    assert not any(word in row for word in ("198.51.100.77", "device-77"))
    assert found == {"198.51.100.77": 1, "device-77": 1, caught.user_id: 1, "198.51.100.78": 0, "": 1}
