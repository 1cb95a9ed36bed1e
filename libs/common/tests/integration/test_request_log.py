"""The log of requests by API key in PostgreSQL."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Struct

from common import ids, request_log
from common.database import Database
from common.request_log import KEEP, Filter, LoggedRequest, RequestLog, body_hash


class Body(Struct):
    amount: int
    email: str
    card_number: str = ""


def entry(**changes: object) -> LoggedRequest:
    fields = {
        "request_log_id": ids.new(),
        "merchant_id": "mer_1",
        "api_key_id": "apk_1",
        "method": "POST",
        "path": "/api/v1/payments",
        "status": 201,
        "duration_micros": 1_500,
        "request_id": "r-1",
        "error_code": "",
        "body_hash": None,
    }
    return LoggedRequest(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def read(db: Database) -> Callable[..., Awaitable[list[LoggedRequest]]]:
    async def read(limit: int = 100, **wanted: object) -> list[LoggedRequest]:
        async with db.autocommit() as tx:
            return await request_log.page(tx, Filter(**({"merchant_id": "mer_1"} | wanted)), limit)  # type: ignore[arg-type]

    return read


async def test_what_was_added_is_written_with_a_hash_of_its_body(
    db: Database, read: Callable[..., Awaitable[list[LoggedRequest]]]
) -> None:
    log = RequestLog(db)
    log.add(entry(request_id="r-1"), Body(100, "asha@example.com"))
    log.add(entry(request_id="r-2", status=409, error_code="order_closed"), None)
    assert await read() == []
    await log.write()
    newest, oldest = await read()
    assert (newest.request_id, newest.status, newest.error_code, newest.body_hash) == ("r-2", 409, "order_closed", None)
    assert oldest.body_hash is not None
    assert len(oldest.body_hash) == 32
    await log.write()
    assert len(await read()) == 2


def test_the_hash_says_nothing_of_secrets_and_persons() -> None:
    assert body_hash(Body(100, "asha@example.com", "4111111111111111")) == body_hash(Body(100, "ravi@example.com"))
    assert body_hash(Body(100, "")) != body_hash(Body(101, ""))
    assert body_hash({"b": 1, "a": 2}) == body_hash({"a": 2, "b": 1})
    assert body_hash(None) is None


async def test_merchants_do_not_read_one_anothers_log_and_filters_filter(
    db: Database, read: Callable[..., Awaitable[list[LoggedRequest]]]
) -> None:
    first, second, foreign = (
        entry(),
        entry(api_key_id="apk_2", method="GET", path="/api/v1/refunds", status=404, request_id="r-2"),
        entry(merchant_id="mer_2"),
    )
    async with db.begin() as tx:
        await request_log.insert(tx, [first, second, foreign])
    assert await read() == [second, first]
    for wanted in (
        {"api_key_id": "apk_2"},
        {"method": "GET"},
        {"path": "/api/v1/refunds"},
        {"request_id": "r-2"},
        {"status_min": 400},
        {"status_max": 499, "status_min": 400},
    ):
        assert await read(**wanted) == [second]
    assert await read(before=second.request_log_id) == [first]
    assert await read(limit=1) == [second]
    now = datetime.now(UTC)
    assert len(await read(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1))) == 2
    assert await read(until=now - timedelta(minutes=1)) == await read(since=now + timedelta(minutes=1)) == []


async def test_what_could_not_be_written_is_written_later(
    db: Database, read: Callable[..., Awaitable[list[LoggedRequest]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RequestLog(db)
    log.add(entry(request_id="r-1"), None)
    with monkeypatch.context() as broken:
        broken.setattr(request_log, "_INSERT", "select no_such_function()")
        with pytest.raises(Exception, match="no_such_function"):
            await log.write()
    log.add(entry(request_id="r-2"), None)
    await log.write()
    assert [each.request_id for each in await read()] == ["r-2", "r-1"]


async def test_what_waits_is_bounded(
    db: Database, read: Callable[..., Awaitable[list[LoggedRequest]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "WAITING_MAX", 3)
    log = RequestLog(db)
    for _ in range(5):
        log.add(entry(), None)
    await log.write()
    assert len(await read()) == 3


async def test_days_come_and_go_as_partitions(
    db: Database, read: Callable[..., Awaitable[list[LoggedRequest]]], superuser_url: str
) -> None:
    """A row lies in the partition of its day; after thirty days the partition goes, by the service's own role."""
    import asyncpg

    old = datetime.now(UTC) - KEEP - timedelta(days=2)
    async with db.begin() as tx:
        await request_log.insert(tx, [entry(), entry(request_log_id=ids.lower_bound(old))])
    owner = await asyncpg.connect(superuser_url)
    try:
        await owner.execute("set search_path to payment")
        name = f"api_requests_{old:%Y%m%d}"
        await owner.execute(f"create table {name} (like api_requests including all)")
        await owner.execute(
            f"with old as (delete from api_requests_default returning *) insert into {name} select * from old"
        )
        await owner.execute(
            f"alter table api_requests attach partition {name}"
            f" for values from ('{ids.lower_bound(old.replace(hour=0, minute=0, second=0, microsecond=0))}')"
            f" to ('{ids.lower_bound(old.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1))}')"
        )
        await owner.execute(f"alter table {name} owner to payment_owner")
    finally:
        await owner.close()
    assert len(await read()) == 2
    async with db.begin() as tx:
        assert (await tx.execute("select ensure_api_request_partitions()")).scalar() == 0
        dropped = await tx.execute("select drop_api_request_partitions(cast(:keep as interval))", keep=KEEP)
    assert dropped.scalar() == 1
    assert len(await read()) == 1
    with pytest.raises(Exception, match="a day at least"):
        async with db.begin() as tx:
            await tx.execute("select drop_api_request_partitions(interval '1 hour')")
