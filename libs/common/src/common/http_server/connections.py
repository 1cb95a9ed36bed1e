"""One connection of the HTTP server: requests come in whole and in time, and what is no HTTP is refused as JSON.

uvicorn bounds how long a connection may be idle between requests. It does not bound how long a client takes to send one
or to read an answer, nor how many connections there are: that is here.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from common import ids, logs, telemetry
from common.context import is_request_id
from common.errors import DomainError, Overloaded
from common.http_server.error_responses import BodyTooSlow, RequestMalformed, error_response
from common.http_server.requests import BODY_ARRIVED

# From the connection's or the request's first byte to the request's last. A body alone is given less, BODY_SECONDS_MAX,
# so that the endpoint's own answer comes first.
REQUEST_SECONDS_MAX: Final = 15.0
# How long a client may read nothing of an answer that waits for it.
UNREAD_SECONDS_MAX: Final = 30.0
# A client that is still sending when its connection is closed loses the answer to the reset: what it sends is thrown
# away for as long as an answer travels.
LINGER_SECONDS: Final = 0.5
# A tenth of the files that a process may open by default (20,000); the edge keeps at most 512 idle ones.
CONNECTIONS_MAX: Final = 2_000

_closed = telemetry.counter("http_connections_closed_total", "Connections that were ended by the server", ["reason"])


class Connections:
    """The connections of one server that wait for their clients, the longest wait first.

    *waiting* are those whose request has not come in whole, *idle* those that a client keeps open between requests.
    """

    def __init__(
        self,
        connections_max: int = CONNECTIONS_MAX,
        request_seconds_max: float = REQUEST_SECONDS_MAX,
        unread_seconds_max: float = UNREAD_SECONDS_MAX,
    ) -> None:
        self.connections_max = connections_max
        self.request_seconds_max = request_seconds_max
        self.unread_seconds_max = unread_seconds_max
        self.waiting: dict[Connection, asyncio.TimerHandle] = {}
        self.idle: dict[Connection, None] = {}

    def make_room(self) -> bool:
        """Close the connection that has waited for its client for longest, or else been idle; whether there was one."""
        if (slowest := next(iter(self.waiting), None)) is not None:
            slowest.refuse(Overloaded("too many connections"))
            return True
        if (oldest := next((each for each in self.idle if each.has_sent_all), None)) is not None:
            oldest.close_idle()
            return True
        return False


class Connection(HttpToolsProtocol):
    """*limits* is shared by the connections of a server."""

    def __init__(self, *arguments: Any, limits: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._incoming = False
        self._refused = False
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections_max and not self._limits.make_room():
            self.refuse(Overloaded("too many connections"))
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_unread()
        self._limits.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self._incoming:
            self._wait()
        else:
            self._stop_waiting()
            self._note_idle()

    def on_message_begin(self) -> None:
        self._incoming = True
        self._limits.idle.pop(self, None)
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._incoming = False
        super().on_message_complete()
        self.scope["extensions"] = {BODY_ARRIVED: {}}

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_idle()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._watch_unread()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_unread()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for what it cannot parse."""
        self.refuse(RequestMalformed("this is no well-formed HTTP request"))

    def refuse(self, error: DomainError) -> None:
        """Answer *error*, unless an answer is under way, and close the connection."""
        self._stop_waiting()
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        _closed.of(error.code).inc()
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()
            return
        self.transport.write(_answer(error, self._request_id()))
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
        if cycle is not None:  # its endpoint reads a client that has gone
            cycle.disconnected = True
            cycle.message_event.set()

    @property
    def has_sent_all(self) -> bool:
        """Whether nothing of an answer waits for the client to read it: closing gives the place back at once."""
        return self.transport.get_write_buffer_size() == 0

    def close_idle(self) -> None:
        """Close it between two requests, as its time to be idle would."""
        self._limits.idle.pop(self, None)
        _closed.of("idle").inc()
        self.transport.close()

    def _note_idle(self) -> None:
        """From now on nobody waits for anything here, if the last request was answered and none is coming in."""
        if self._incoming or self._refused or self.cycle is None or not self.cycle.response_complete:
            return
        if not self.transport.is_closing():
            self._limits.idle[self] = None

    def _request_id(self) -> str:
        sent = next((value for name, value in self.headers or () if name == b"x-request-id"), b"").decode("latin-1")
        return sent if is_request_id(sent) else str(ids.new())

    def _wait(self) -> None:
        """From now on the client has its time to send the rest of a request; more bytes give it no more time."""
        if self not in self._limits.waiting and not self._refused and not self.transport.is_closing():
            self._limits.waiting[self] = self.loop.call_later(self._limits.request_seconds_max, self._too_slow)

    def _stop_waiting(self) -> None:
        timer = self._limits.waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _too_slow(self) -> None:
        if self._incoming:
            self.refuse(BodyTooSlow(f"the request took longer than {self._limits.request_seconds_max:.0f} seconds"))
        else:  # nothing was sent that could be answered
            self._stop_waiting()
            _closed.of("silent").inc()
            self.transport.close()

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _watch_unread(self) -> None:
        """Look again later whether the client has read anything; how much does not matter."""
        size = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self._limits.unread_seconds_max, self._require_progress, size)

    def _require_progress(self, size_before: int) -> None:
        if self.transport.get_write_buffer_size() < size_before:
            self._watch_unread()
        else:
            _closed.of("unread").inc()
            self.transport.abort()


def _answer(error: DomainError, request_id: str) -> bytes:
    """*error* as a whole HTTP response, the last of its connection."""
    response = error_response(error, request_id)
    headers = dict(response.raw_headers) | {b"x-request-id": request_id.encode(), b"connection": b"close"}
    status = HTTPStatus(response.status_code)
    if logs.enabled(logs.INFO):
        fields = {"status": status.value, "code": error.code, "requestId": request_id}
        logs.line(logs.INFO, "common.http_server", "the connection was refused", fields)
    lines = [b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode())]
    lines += [b"%s: %s" % header for header in headers.items()]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
