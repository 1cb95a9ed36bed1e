import asyncio
import time

import pytest
from argon2 import Parameters

from identity.passwords import HashingOverloaded, Passwords, parameters


@pytest.fixture
def quick() -> Parameters:
    """The least that Argon2 does."""
    return parameters(memory_kib=8, passes=1)


async def test_a_password_is_known_by_its_hash_alone(quick: Parameters) -> None:
    async with Passwords(1, 8, quick) as passwords:
        hashed = await passwords.hash("correct horse")
        assert hashed.startswith("$argon2id$")
        assert "correct" not in hashed
        assert hashed != await passwords.hash("correct horse")
        assert await passwords.verify(hashed, "correct horse")
        assert not await passwords.verify(hashed, "Correct horse")
        assert not await passwords.verify("not a hash", "correct horse")


async def test_no_password_is_right_without_a_hash(quick: Parameters) -> None:
    async with Passwords(1, 8, quick) as passwords:
        assert not await passwords.verify(None, "nobody's")


async def test_whether_there_is_such_a_user_does_not_show_in_the_time_it_takes() -> None:
    async with Passwords(1, 8, parameters()) as passwords:
        hashed = await passwords.hash("correct horse")
        nanoseconds: dict[bool, list[int]] = {True: [], False: []}
        for _ in range(9):
            for has_hash in (True, False):
                started = time.process_time_ns()
                await passwords.verify(hashed if has_hash else None, "wrong horse")
                nanoseconds[has_hash].append(time.process_time_ns() - started)
        with_hash, without_hash = (sorted(each)[4] for each in (nanoseconds[True], nanoseconds[False]))
        assert 0.6 < with_hash / without_hash < 1.6


async def test_outdated_parameters_are_noticed(quick: Parameters) -> None:
    async with Passwords(1, 8, quick) as yesterday, Passwords(1, 8, parameters()) as today:
        assert today.is_outdated(await yesterday.hash("correct horse"))
        assert not today.is_outdated(await today.hash("correct horse"))


async def test_the_queue_is_bounded_and_drains(quick: Parameters) -> None:
    async with Passwords(1, 2, quick) as passwords:
        outcomes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(10)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, HashingOverloaded)]
        assert len(refused) == 7
        assert await passwords.hash("correct horse")


async def test_the_loop_goes_on_meanwhile() -> None:
    async with Passwords(1, 8, parameters()) as passwords:
        hashing = asyncio.create_task(passwords.hash("correct horse"))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 20


async def test_a_caller_that_goes_away_leaves_the_queue(quick: Parameters) -> None:
    async with Passwords(1, 1, quick) as passwords:
        for _ in range(10):
            tasks = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(2)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            async with asyncio.timeout(5):
                while passwords.in_progress:
                    await asyncio.sleep(0.001)
        assert await passwords.hash("correct horse")
