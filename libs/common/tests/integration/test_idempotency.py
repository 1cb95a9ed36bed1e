"""Keys in Postgres: the same request gets the same answer, another is refused by name, one in flight waits."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from common import idempotency, ids
from common.database import Database
from common.idempotency import (
    Answered,
    Claim,
    ClaimResult,
    Completion,
    Fresh,
    IdempotencyKeyInFlight,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    Key,
    Resumed,
)

KEY = Key("mer_commdesk", "usr_1", "payments.create", "key-1")


async def claim(db: Database, *claims: Claim) -> list[ClaimResult]:
    async with db.begin() as tx:
        return await idempotency.claim(tx, claims)


def wanted(key: Key = KEY, request: str = "a", subject: UUID | None = None) -> Claim:
    return Claim(key, idempotency.fingerprint("mer_1", "usr_1", {"request": request}), subject or ids.new())


async def test_a_key_is_fresh_once_then_in_flight_then_answered_byte_for_byte(db: Database) -> None:
    first = wanted()
    assert await claim(db, first) == [Fresh()]
    assert [type(verdict) for verdict in await claim(db, wanted())] == [IdempotencyKeyInFlight]
    async with db.begin() as tx:
        await idempotency.complete(tx, [Completion(KEY, first.subject, 201, b'{"a": 1}')])
    assert await claim(db, wanted()) == [Answered(first.subject, 201, b'{"a": 1}')]


async def test_the_same_key_with_another_request_is_refused_by_name(db: Database) -> None:
    await claim(db, wanted())
    assert [type(verdict) for verdict in await claim(db, wanted(request="b"))] == [IdempotencyKeyReused]


async def test_keys_of_different_users_merchants_and_routes_do_not_meet(db: Database) -> None:
    keys = [
        KEY,
        Key("mer_other", KEY.user_id, KEY.route, KEY.key),
        Key(KEY.merchant_id, "usr_2", KEY.route, KEY.key),
        Key(KEY.merchant_id, KEY.user_id, "refunds.create", KEY.key),
    ]
    assert await claim(db, *(wanted(key) for key in keys)) == [Fresh()] * 4


async def test_of_two_with_one_key_in_a_batch_the_second_waits_or_is_refused(db: Database) -> None:
    verdicts = await claim(db, wanted(), wanted(), wanted(request="b"))
    assert [type(verdict) for verdict in verdicts] == [Fresh, IdempotencyKeyInFlight, IdempotencyKeyReused]


async def test_twenty_at_once_are_one_fresh_and_nineteen_waiting(db: Database) -> None:
    verdicts = await asyncio.gather(*(claim(db, wanted()) for _ in range(20)))
    assert Counter(type(verdict) for [verdict] in verdicts) == {Fresh: 1, IdempotencyKeyInFlight: 19}


async def test_a_request_that_died_without_an_answer_is_resumed_from_its_subject(db: Database) -> None:
    first = wanted()
    await claim(db, first)
    async with db.begin() as tx:
        await tx.execute("update idempotency_keys set leased_until = now() - interval '1 second'")
    verdicts = await asyncio.gather(claim(db, wanted()), claim(db, wanted()))
    assert sorted(type(verdict).__name__ for [verdict] in verdicts) == ["IdempotencyKeyInFlight", "Resumed"]
    assert Resumed(first.subject) in [verdict for [verdict] in verdicts]


async def test_a_key_that_ran_out_is_fresh_again_and_purged(db: Database) -> None:
    await claim(db, wanted())
    async with db.begin() as tx:
        await tx.execute("update idempotency_keys set expires_at = now() - interval '1 second'")
    assert await claim(db, wanted(request="b")) == [Fresh()]
    async with db.begin() as tx:
        await tx.execute("update idempotency_keys set expires_at = now() - interval '1 second'")
        assert await idempotency.purge(tx) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "nül", "a\nb"])
def test_a_key_that_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(IdempotencyKeyInvalid):
        idempotency.validated(key)


def test_a_fingerprint_does_not_depend_on_the_order_of_fields() -> None:
    def of(request: object, merchant_id: str = "mer_1", user_id: str = "usr_1") -> bytes:
        return idempotency.fingerprint(merchant_id, user_id, request)

    assert of({"a": 1, "b": 2}) == of({"b": 2, "a": 1})
    assert of({"a": 1}) != of({"a": 2})
    # Who asks is part of it.
    askers = [("mer_1", "usr_1"), ("mer_1", "usr_2"), ("mer_2", "usr_1"), ("mer_1u", "sr_1")]
    assert len({of({"a": 1}, *asker) for asker in askers}) == len(askers)
