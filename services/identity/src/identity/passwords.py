"""Argon2id hashing in a few threads of its own, so that it never blocks the event loop."""

import asyncio
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from argon2 import Parameters, PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from zxcvbn import zxcvbn  # type: ignore[import-untyped]

from common.errors import Unavailable
from identity.domain.errors import UserInvalid

# OWASP's minimum, with one lane.
MEMORY_KIB_MIN = 19_456
PASSES_MIN = 2

# How many guesses a password must withstand: more than the throttles admit, and days of guessing at stolen hashes.
GUESSES_MIN = 10**8
# zxcvbn's time grows steeply with the length: sixteen characters take 80 ms at worst, fifty take ten seconds. A
# password is as good as its better end.
EXAMINED_LENGTH = 16
# What an attacker tries first here.
OUR_WORDS = ("commdesk", "commdesk pay", "credits", "wallet")
# Here people choose them more often than zxcvbn's lists, which are American, say.
LOCAL_WORDS = (
    *("india", "bharat", "cricket", "bollywood", "mumbai", "delhi", "kolkata", "chennai", "bangalore", "bengaluru"),
    *("hyderabad", "pune", "ahmedabad", "jaipur", "lucknow", "kerala", "ganesh", "krishna", "lakshmi", "shivaji"),
)
# How many guesses such a word, its place and its spelling add to what is left of a password without it.
WORD_GUESSES = 100
# Shorter ones are in many passwords by chance.
WORD_LENGTH_MIN = 3
# What zxcvbn, too, reads as the letters that they look like.
_LOOK_ALIKES = str.maketrans("@4301!$5", "aaeoiiss")

# zxcvbn keeps the user's own words in a dictionary of its module: a second thread would judge by the first one's.
_zxcvbn_lock = threading.Lock()

T = TypeVar("T")


class HashingOverloaded(Unavailable):
    """More passwords wait to be hashed than can be hashed in time."""

    fix = "Try again after the time in Retry-After."


def is_easily_guessed(password: str, others: Collection[str]) -> bool:
    """Whether lists of leaked passwords, words, names, keyboards and dates lead to *password* within GUESSES_MIN."""
    texts = (*OUR_WORDS, *LOCAL_WORDS, *others)
    known = list(dict.fromkeys([*texts, *(part for text in texts for part in re.split(r"[\W_]+", text) if part)]))
    with _zxcvbn_lock:
        return _guesses(password, known) < GUESSES_MIN or any(
            WORD_GUESSES * _guesses(rest, known) < GUESSES_MIN for rest in _without_words(password, known)
        )


def _guesses(text: str, known: Sequence[str]) -> int:
    ends = {text[:EXAMINED_LENGTH], text[-EXAMINED_LENGTH:]} - {""}  # for which zxcvbn raises IndexError
    return max((int(zxcvbn(end, user_inputs=known)["guesses"]) for end in ends), default=0)


def _without_words(password: str, known: Sequence[str]) -> Iterator[str]:
    """What is left of *password*, if the known words are in it. zxcvbn takes a separator and a year after such a word
    for something that nobody expects.
    """
    folded = password.casefold()
    for spelling in {folded, folded.translate(_LOOK_ALIKES)}:
        rest = spelling
        for word in sorted(known, key=len, reverse=True):
            if len(word) >= WORD_LENGTH_MIN:
                rest = rest.replace(word.casefold(), "")
        if rest != spelling:
            yield re.sub(r"^[\W_]+|[\W_]+$", "", rest)


def parameters(memory_kib: int = MEMORY_KIB_MIN, passes: int = PASSES_MIN) -> Parameters:
    """What a hash costs."""
    return Parameters(
        type=Type.ID,
        version=ARGON2_VERSION,
        salt_len=16,
        hash_len=32,
        time_cost=passes,
        memory_cost=memory_kib,
        parallelism=1,
    )


class Passwords:
    """Hashes and verifies, *threads* at a time, with at most *waiting_max* in line."""

    def __init__(self, threads: int, waiting_max: int, parameters: Parameters) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._places = threads + waiting_max
        self._places_taken = 0
        # For unknown users: verifying against it takes as long as against a real one.
        self._dummy_hash = self._hasher.hash("nobody's")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def in_progress(self) -> int:
        """How many passwords are being hashed or wait to be."""
        return self._places_taken

    async def hash(self, password: str) -> str:
        """Raises HashingOverloaded."""
        return await self._run(lambda: self._hasher.hash(password))

    async def require_strong(self, password: str, others: Collection[str]) -> None:
        """Raises UserInvalid when *password* is easily guessed, knowing *others* (name, e-mail address of its user)."""
        if await self._run(lambda: is_easily_guessed(password, others)):
            raise UserInvalid("the password is easily guessed", password="is easily guessed")  # noqa: S106 - a message

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether *password* is the one behind the hash. Without a hash it takes as long and is never right.

        Raises HashingOverloaded.
        """
        return await self._run(lambda: self._matches(password_hash, password))

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash or self._dummy_hash, password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._places_taken >= self._places:
            raise HashingOverloaded
        loop = asyncio.get_running_loop()
        self._places_taken += 1
        future = self._pool.submit(work)
        # When the work has ended, not when its caller went away: a thread may still run it.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        self._places_taken -= 1
