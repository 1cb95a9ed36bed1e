"""Headers of requests: which of them the API reads, and that each of those is given once."""

from collections.abc import Iterable, Sequence
from typing import Final

from common.errors import RequestInvalid
from common.http_server.requests import Headers

# What clients may send to every endpoint; a row names what its endpoint reads beyond them (`Route.headers`). Pages of
# other origins may send these and no others: traefik/dynamic.yml, which a test compares.
REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "X-Idempotency-Key",
    "X-Request-Id",
    "X-Correlation-Id",
    "Traceparent",
)
# What a page of another origin may read of an answer, beyond its body and content type.
RESPONSE_HEADERS: Final = ("X-Request-Id", "Retry-After", "Idempotent-Replayed")
# Read as well, but not for pages to set: an API key belongs to a server, and what browsers send is theirs to say.
_READ_ANYWAY: Final = (
    "CommDesk-Version",
    "Content-Encoding",
    "Content-Length",
    "Host",
    "Origin",
    "User-Agent",
    "X-Api-Key",
)
_FORWARDED_FOR: Final = b"x-forwarded-for"

Lines = Sequence[tuple[bytes, bytes]]


class SingleHeaders:
    """The headers that have one meaning, and so one line. *names*: what the endpoints read, in any case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.lower().encode() for name in (*REQUEST_HEADERS, *_READ_ANYWAY, *names)}

    def check(self, lines: Lines, headers: Headers) -> None:
        """Raises RequestInvalid when one of them comes twice. Free when nothing is repeated."""
        if len(headers) == len(lines):
            return
        seen: set[bytes] = set()
        for name, _ in lines:
            if name in seen and name in self._names:
                shown = "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
                raise RequestInvalid("a header is repeated", **{shown: "is given more than once"})
            seen.add(name)


def forwarded_for(lines: Lines, headers: Headers) -> str:
    """X-Forwarded-For: each proxy appends to it, and may do so in a line of its own."""
    value = headers.get(_FORWARDED_FOR)
    if value is None:
        return ""
    if len(headers) != len(lines):
        value = b",".join(line for name, line in lines if name == _FORWARDED_FOR)
    return value.decode("latin-1")
