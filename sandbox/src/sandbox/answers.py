"""HTTP as the gateways' APIs share it: what is read and sent, refusals, and the faults around every operation."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from starlette.types import Receive

from sandbox.faults import Rule

JSON = (b"content-type", b"application/json")
_RESET = 0
# Of a proxy in front of a gateway: behind them is the gateway's own answer, or nothing at all.
FROM_THE_PROXY = frozenset({_RESET, 429, 502, 503, 504})
_BODY_MAX_BYTES = 256 * 1024


class Answer(msgspec.Struct, frozen=True):
    """An HTTP status and its JSON body; *headers* replace those of their names."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


RESET = Answer(_RESET, b"")  # nothing is answered: the connection is reset


class Reset(Exception):
    """A fault resets the connection."""


class Refused(Exception):
    """An answer other than success; each gateway has its own body for it."""

    status: int

    def body(self) -> bytes:
        """The error body as JSON."""
        raise NotImplementedError


async def read(receive: Receive) -> bytes:
    """The body of a request, or as much of it as is too long."""
    body = b""
    while True:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        body += chunk
        if len(body) > _BODY_MAX_BYTES or not message.get("more_body"):
            return body


async def apply_before(rules: Sequence[Rule], receive: Receive, broken: Callable[[int], Refused]) -> None:
    """The faults that come before an operation; raises what *broken* makes of a status, or Reset."""
    for rule in rules:
        if rule.action == "delay":
            await asyncio.sleep(rule.delay_ms / 1000)
        elif rule.action == "timeout":
            await _hold(rule, receive, broken)
        elif rule.action == "error":
            raise broken(rule.status)
        elif rule.action == "reset":
            raise Reset


async def apply_after(rules: Sequence[Rule], receive: Receive, broken: Callable[[int], Refused]) -> None:
    """The faults that take away the answer of an operation; raises what *broken* makes of a status, or Reset."""
    for rule in rules:
        if rule.action == "apply_then_timeout":
            await _hold(rule, receive, broken)
        elif rule.action == "apply_then_error":
            raise broken(rule.status)
        elif rule.action == "apply_then_reset":
            raise Reset


async def _hold(rule: Rule, receive: Receive, broken: Callable[[int], Refused]) -> None:
    """Say nothing until the caller gives up; one that waits it out gets 504."""
    try:
        async with asyncio.timeout(rule.delay_ms / 1000):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass
    raise broken(504)
