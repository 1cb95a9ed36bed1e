"""x-idempotency-key: the first response under a key, whatever it was, answers every repetition."""

import asyncio
import hashlib

import msgspec

from sandbox.cashfree import errors


class Answer(msgspec.Struct, frozen=True):
    """An HTTP status and its JSON body; *headers* replace those of their names."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class _Entry(msgspec.Struct):
    fingerprint: bytes
    answer: "asyncio.Future[Answer]"


class Idempotency:
    """Remembers the first answers, the newest *keys_max* of them."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._entries: dict[str, _Entry] = {}

    def claim(self, key: str, path: str, body: bytes) -> "asyncio.Future[Answer] | None":
        """None if the key is new: the caller completes it. Else the answer; raises Refused on another request."""
        fingerprint = hashlib.blake2b(path.encode() + b"\n" + body, digest_size=16).digest()
        entry = self._entries.get(key)
        if entry is not None:
            if entry.fingerprint != fingerprint:
                raise errors.idempotency_mismatch()
            return entry.answer
        if len(self._entries) >= self._keys_max:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(fingerprint, asyncio.get_running_loop().create_future())
        return None

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
