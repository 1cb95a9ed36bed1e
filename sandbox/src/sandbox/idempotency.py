"""Idempotency keys: the first response under a key, whatever it was, answers every repetition."""

import asyncio
import hashlib
from collections.abc import Callable

import msgspec

from sandbox.answers import FROM_THE_PROXY, Answer, Refused


class _Entry(msgspec.Struct):
    fingerprint: bytes
    answer: "asyncio.Future[Answer]"


class Idempotency:
    """Remembers the first answers, the newest *keys_max* of them; *mismatch* refuses a key used for something else."""

    def __init__(self, keys_max: int, mismatch: Callable[[], Refused]) -> None:
        self._keys_max = keys_max
        self._mismatch = mismatch
        self._entries: dict[str, _Entry] = {}

    def claim(self, key: str, path: str, body: bytes) -> "asyncio.Future[Answer] | None":
        """None if the key is new: the caller completes it. Else the answer; raises Refused on another request."""
        fingerprint = hashlib.blake2b(path.encode() + b"\n" + body, digest_size=16).digest()
        entry = self._entries.get(key)
        if entry is not None:
            if entry.fingerprint != fingerprint:
                raise self._mismatch()
            return entry.answer
        if len(self._entries) >= self._keys_max:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(fingerprint, asyncio.get_running_loop().create_future())
        return None

    def settle(self, key: str, answer: Answer, own_answer: Answer | None) -> None:
        """Keep what the gateway answered under a key that was claimed.

        429, 502, 503 and 504 come from a proxy in front of the application. Behind them is either its own answer, which
        it remembers though no client read it, or nothing at all.
        """
        kept = own_answer if answer.status in FROM_THE_PROXY else answer
        if kept is None:
            self.release(key, answer)
        else:
            self.complete(key, kept)

    def complete(self, key: str, answer: Answer) -> None:
        """Keep the first answer; requests that were repeated meanwhile get it now."""
        entry = self._entries.get(key)
        if entry is not None and not entry.answer.done():
            entry.answer.set_result(answer)

    def release(self, key: str, answer: Answer) -> None:
        """Forget a claim that the gateway itself never answered, so that the next repetition is a first request.

        Requests that were repeated meanwhile get *answer*.
        """
        self.complete(key, answer)
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget every key."""
        self._entries.clear()
