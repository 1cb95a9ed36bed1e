"""Who and what the present work is for: one frozen value in a context variable. Logs and the outbox read it.

Work for several requests at once (a batch) has a context of its own, without their ids; its *links* name them.
"""

import random
import re
from collections.abc import Sequence
from contextvars import ContextVar, Token
from itertools import islice
from types import TracebackType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

# As many requests as one log line or one call names of a batch.
LINKS_MAX: Final = 32

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# What a client may choose as the id of its request, or of all requests that belong together.
is_request_id = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch
_RANDOM = random.Random()  # noqa: S311 - trace ids are no secrets


class Context(Struct, frozen=True):
    """Empty strings stand for "not known". *traceparent* is W3C's, 55 characters."""

    request_id: str = ""
    correlation_id: str = ""
    traceparent: str = ""
    user_id: str = ""
    merchant_id: str = ""
    ip: str = ""
    user_agent: str = ""
    # What the work is about, for its log lines, as soon as that is known.
    payment_id: str = ""
    order_id: str = ""
    # The correlation ids of a batch's requests, at most LINKS_MAX.
    links: tuple[str, ...] = ()

    @property
    def trace_id(self) -> str:
        """The trace's 32 hexadecimal digits, or nothing."""
        return self.traceparent[3:35]


EMPTY: Final = Context()
_current: ContextVar[Context] = ContextVar("commdesk_context", default=EMPTY)

current = _current.get


class bind:  # noqa: N801 - reads as a verb: `with bind(context):`
    """`with bind(context):` makes *context* the current one inside. A class, because it sits on the hot path."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> Context:
        self._token: Token[Context] = _current.set(self._context)
        return self._context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)


def replace_current(context: Context) -> None:
    """Make *context* the current one until the enclosing `bind` ends: what a server does once it knows the caller."""
    _current.set(context)


def note(*, payment_id: str, order_id: str = "", user_id: str = "") -> None:
    """Say what the present work is about, for the log lines until the enclosing `bind` ends."""
    now = _current.get()
    _current.set(
        replace(
            now,
            payment_id=payment_id or now.payment_id,
            order_id=order_id or now.order_id,
            user_id=now.user_id or user_id,
        )
    )


def of_batch(contexts: Sequence[Context]) -> Context:
    """The context in which a batch of work for *contexts* is done: the one that they all have, or one that links them.

    A batch for several requests is a trace of its own, exported when one of theirs is.
    """
    # One request has one context, so that the same object is the same request.
    distinct = list({id(each): each for each in contexts}.values())
    if len(distinct) == 1:
        return distinct[0]
    links = dict.fromkeys(each.correlation_id for each in distinct if each.correlation_id)
    sampled = any(each.traceparent.endswith("1") for each in distinct)
    return Context(traceparent=new_traceparent(sampled), links=tuple(islice(links, LINKS_MAX)))


def new_traceparent(sampled: bool = False) -> str:
    """A fresh trace with a fresh span in it."""
    return f"00-{_RANDOM.getrandbits(128) | 1:032x}-{_RANDOM.getrandbits(64) | 1:016x}-{'01' if sampled else '00'}"


def child_traceparent(parent: str) -> str:
    """A fresh span in the trace of *parent*."""
    return f"{parent[:36]}{_RANDOM.getrandbits(64) | 1:016x}{parent[52:]}"


def is_traceparent(text: str) -> bool:
    """Whether *text* is a well-formed version 00 traceparent."""
    return _TRACEPARENT.fullmatch(text) is not None


def trace_id() -> str:
    """The current trace's 32 hexadecimal digits, or nothing."""
    return _current.get().traceparent[3:35]
