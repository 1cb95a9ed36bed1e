"""Malformed answers: what a proxy, a bug or an attacker in between may make of a good one."""

import gzip
from functools import cache

from sandbox.answers import Answer
from sandbox.faults import Garbage

HUGE_BYTES = 10 << 20
BOMB_BYTES = 64 << 20


def garbled(kind: Garbage, answer: Answer, repeated: bytes) -> Answer:
    """What is sent instead of *answer*, with status 200; *repeated*: the members that stand in it a second time."""
    match kind:
        case "html":
            return Answer(200, b"<!doctype html><title>Just a moment...</title>", ((b"content-type", b"text/html"),))
        case "truncated":
            return Answer(200, answer.body[: len(answer.body) // 2])
        case "huge":
            return Answer(200, answer.body[:-1] + b" " * HUGE_BYTES + answer.body[-1:])
        case "gzip_bomb":
            return Answer(200, _bomb(), ((b"content-encoding", b"gzip"),))
        case "duplicate_keys":
            return Answer(200, answer.body[:-1] + b"," + repeated + b"}")


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * BOMB_BYTES)
