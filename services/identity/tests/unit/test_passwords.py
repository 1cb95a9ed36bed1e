import asyncio
import threading
import time

import pytest
from argon2 import Parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.passwords import HashingOverloaded, Passwords, is_easily_guessed, parameters


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


@pytest.mark.parametrize(
    "password",
    [
        *("qwerty12", "abcd1234", "P@ssw0rd", "summer2024", "iloveyou2", "commdesk1", "Password123", "aaaabbbb"),
        *("12345678", "zaq12wsx", "Trustno1!", "mumbai123", "dragon1234", "CommDesk2026!", "Winter2026!", "9876543210"),
        *("asha.rao.1", "Asha_Rao_1990!", "@sh4.R40.12", "rao@asha.15081947", "Asha#Rao#7x", "Cricket@2026"),
        *("Mumbai@123", "asha.asha.asha", "Rao.asha@example"),
        *("asha.rao1", "Asha Rao 1987", "rao19870412", "x" * 128, "password" * 16, "abcabcabcabc", ""),
    ],
)
def test_what_lists_of_leaked_passwords_lead_to_is_refused(password: str) -> None:
    assert is_easily_guessed(password, ("asha@example.com", "Asha Rao"))


@pytest.mark.parametrize(
    "password",
    [
        "k7#mQ2vL",
        "correct horse battery",
        "a new staple",
        "Caf\u00e9 au lait",
        "パスワード合言葉",
        "tJ8sKq4wz",
        "asha k9$wq2z",
        "correct rao battery horse",
        "an administrator's",
    ],
)
def test_others_are_good(password: str) -> None:
    assert not is_easily_guessed(password, ("asha@example.com", "Asha Rao"))


async def test_one_password_is_judged_at_a_time(quick: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    """zxcvbn would look for the words of one user in the password of another."""
    judging, overlaps = threading.Semaphore(1), []

    def judge(password: str, user_inputs: list[str]) -> dict[str, int]:
        overlaps.append(not judging.acquire(blocking=False))
        time.sleep(0.02)
        if not overlaps[-1]:
            judging.release()
        return {"guesses": 10**9}

    monkeypatch.setattr("identity.passwords.zxcvbn", judge)
    async with Passwords(2, 8, quick) as passwords, Passwords(2, 8, quick) as of_sign_ups:
        await asyncio.gather(*(each.require_strong("k7#mQ2vL", ()) for each in (passwords, of_sign_ups) * 4))
    assert overlaps == [False] * 8


@given(st.text(alphabet="4@8({[</369&#!1|0$5+7%2aA ", max_size=128), st.text(max_size=120))
@settings(max_examples=25, deadline=None)
def test_judging_a_password_takes_a_bounded_time(password: str, other: str) -> None:
    started = time.process_time()
    is_easily_guessed(password, (other,))
    assert time.process_time() - started < 2
