"""Answers: one JSON shape, encoded once, with no header work that is not needed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json")
# Answers are about money and people: nobody in between keeps them.
_NO_STORE = (b"cache-control", b"no-store")


class Reply(Response):
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
        self.raw_headers = [content_type, _NO_STORE, (b"content-length", b"%d" % len(content))]
        if headers:
            self.raw_headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """`{"success": true, "data": …}`; *data* is anything that msgspec encodes."""
    return Reply(_encode({"success": True, "data": data}), status, headers)


def encode(document: object) -> bytes:
    return _encode(document)
