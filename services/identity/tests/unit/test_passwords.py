import asyncio
import time

from identity.passwords import PARAMETERS, HashingOverloaded, Passwords


async def test_a_password_is_known_by_its_hash_alone(quick):
    async with Passwords(1, 8, quick) as passwords:
        hashed = await passwords.hash("correct horse")
        assert hashed.startswith("$argon2id$")
        assert "correct" not in hashed
        assert hashed != await passwords.hash("correct horse")
        assert await passwords.verify(hashed, "correct horse")
        assert not await passwords.verify(hashed, "Correct horse")
        assert not await passwords.verify("not a hash", "correct horse")


async def test_nobody_has_no_password(quick):
    async with Passwords(1, 8, quick) as passwords:
        assert not await passwords.verify(None, "nobody's")


async def test_whether_there_is_such_a_user_does_not_show_in_the_time_it_takes():
    async with Passwords(1, 8) as passwords:
        hashed = await passwords.hash("correct horse")
        nanoseconds: dict[bool, list[int]] = {True: [], False: []}
        for _ in range(9):
            for known in (True, False):
                started = time.process_time_ns()
                await passwords.verify(hashed if known else None, "wrong horse")
                nanoseconds[known].append(time.process_time_ns() - started)
        known, unknown = (sorted(each)[4] for each in (nanoseconds[True], nanoseconds[False]))
        assert 0.6 < known / unknown < 1.6


async def test_yesterdays_parameters_are_noticed(quick):
    async with Passwords(1, 8, quick) as yesterday, Passwords(1, 8, PARAMETERS) as today:
        assert today.is_outdated(await yesterday.hash("correct horse"))
        assert not today.is_outdated(await today.hash("correct horse"))


async def test_the_line_is_bounded_and_gets_shorter_again(quick):
    async with Passwords(1, 2, quick) as passwords:
        outcomes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(10)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, HashingOverloaded)]
        assert len(refused) == 7
        assert await passwords.hash("correct horse")


async def test_the_loop_goes_on_meanwhile():
    async with Passwords(1, 8, PARAMETERS) as passwords:
        hashing = asyncio.create_task(passwords.hash("correct horse"))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 20


async def test_a_caller_that_goes_away_leaves_the_line(quick):
    async with Passwords(1, 1, quick) as passwords:
        for _ in range(10):
            tasks = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(2)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.sleep(0.01)
        assert await passwords.hash("correct horse")
