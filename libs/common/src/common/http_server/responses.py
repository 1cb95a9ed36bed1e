"""Responses: one JSON shape, encoded once, with no header work that is not needed."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json")
# Answers are about money and people: nobody in between keeps them.
_NO_STORE = (b"cache-control", b"no-store")


class EncodedResponse(Response):
    """A response whose headers are given as they go out; otherwise Starlette's, cookies included."""

    def __init__(
        self,
        content: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: tuple[bytes, bytes] = _JSON,
    ) -> None:
        self.body = content
        self.status_code = status
        self.background = None
        self.raw_headers = [content_type, (b"content-length", b"%d" % len(content))]
        cached = False
        if headers:
            for name, value in headers.items():
                lowered = name.lower()
                cached = cached or lowered == "cache-control"
                self.raw_headers.append((lowered.encode(), value.encode("latin-1")))
        if not cached:
            self.raw_headers.append(_NO_STORE)


def enveloped(view: object) -> bytes:
    """`{"success": true, "data": …}` around anything that msgspec encodes."""
    return _encode({"success": True, "data": view})


def encode(document: object) -> bytes:
    return _encode(document)
