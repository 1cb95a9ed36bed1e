"""Structured logs: one JSON object a line on standard output, the same fields in every one of them.

Ordinary code uses `from loguru import logger`. Servers and consumers write their one line per request or batch
with `line`, which skips loguru's record building (some 20 µs) and never sees personal data. Lines below WARNING are
collected for at most 50 ms before they are written: a crash loses those, never the audit trail, which is in Postgres.
"""

import asyncio
import atexit
import json
import logging
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import msgspec
from loguru import logger

from common import context
from common.redaction import MASK, is_secret_key, mask, mask_text

if TYPE_CHECKING:
    from loguru import Message

INFO, WARNING, ERROR = 20, 30, 40

_NAMES = {5: "TRACE", 10: "DEBUG", INFO: "INFO", WARNING: "WARNING", ERROR: "ERROR", 50: "CRITICAL"}
_FLUSH_AFTER_SECONDS = 0.05
_FLUSH_AT_LINES = 512
_TRACE_LENGTH_MAX = 16_384

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Output:
    """Where lines go. Written at once when urgent or outside an event loop, else collected for a moment."""

    def __init__(self, stream: IO[bytes], service: str, environment: str, render: Callable[[dict[str, Any]], bytes]):
        self._stream = stream
        self._service = service
        self._environment = environment
        self._render = render
        self._waiting: list[bytes] = []

    def write(self, level: int, module: str, message: str, fields: dict[str, Any]) -> None:
        now = context.current()
        shown = {
            "timestamp": datetime.now(UTC),
            "level": _NAMES.get(level, str(level)),
            "message": message,
            "service": self._service,
            "module": module,
            "environment": self._environment,
            "requestId": now.request_id,
            "correlationId": now.correlation_id,
            "traceId": now.traceparent[3:35],
            "userId": now.user_id,
            "paymentId": now.payment_id,
            "orderId": now.order_id,
            **fields,
        }
        if now.links:
            shown["links"] = now.links
        self._waiting.append(self._render(shown))
        if level >= WARNING or len(self._waiting) >= _FLUSH_AT_LINES:
            self.flush()
        elif len(self._waiting) == 1:
            self._flush_soon()

    def flush(self) -> None:
        """Write what is waiting. A reader that went away is no reason to stop serving."""
        lines, self._waiting = self._waiting, []
        if lines:
            try:
                self._stream.write(b"".join(lines))
                self._stream.flush()
            except (BrokenPipeError, ValueError):
                pass

    def _flush_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_later(_FLUSH_AFTER_SECONDS, self.flush)
        except RuntimeError:
            self.flush()


_output: Output | None = None
_level = INFO


def setup(
    service: str, environment: str, level: str = "INFO", *, pretty: bool = False, stream: IO[bytes] | None = None
) -> None:
    """Send loguru's and the standard library's logs to *stream* (standard output), and nowhere else."""
    global _output, _level
    if _output is None:
        atexit.register(flush)
    else:
        _output.flush()
    _level = logger.level(level).no
    _output = Output(stream or sys.stdout.buffer, service, environment, _pretty if pretty else _json)
    logger.remove()
    logger.add(_from_loguru, level=_level, format="{message}", backtrace=False, diagnose=False, catch=True)
    logging.basicConfig(handlers=[_FromStandardLibrary()], level=max(_level, WARNING), force=True)


def enabled(level: int) -> bool:
    """Whether a line of *level* would be written: asked before computing what is expensive."""
    return level >= _level


def line(level: int, module: str, message: str, fields: dict[str, Any]) -> None:
    """One line, past loguru. *fields* holds figures, ids and constants only: nothing in it is masked."""
    if _output is not None and level >= _level:
        _output.write(level, module, message, fields)


def flush() -> None:
    """Write what is waiting."""
    if _output is not None:
        _output.flush()


def _from_loguru(message: "Message") -> None:
    record = message.record
    fields = {key: MASK if is_secret_key(key) else mask(value) for key, value in record["extra"].items()}
    if (error := record["exception"]) is not None:
        text = "".join(traceback.format_exception(error.type, error.value, error.traceback))
        fields["error"] = error.type.__name__ if error.type else ""
        fields["trace"] = mask_text(text[-_TRACE_LENGTH_MAX:])
    if _output is not None:
        module = str(fields.pop("module", record["name"] or ""))
        _output.write(record["level"].no, module, mask_text(record["message"]), fields)


class _FromStandardLibrary(logging.Handler):
    """Lines of libraries that use `logging`, under their logger's name."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.bind(module=record.name).opt(exception=record.exc_info).log(
            record.levelname if record.levelname in _NAMES.values() else record.levelno, "{}", record.getMessage()
        )


def _json(fields: dict[str, Any]) -> bytes:
    try:
        return _encode(fields) + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair from somebody's input; the standard library escapes it
        return json.dumps(fields, default=str).encode() + b"\n"


_COLOURS = {"WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[31;1m", "INFO": "\033[32m"}


def _pretty(fields: dict[str, Any]) -> bytes:
    """For a person at a terminal: what is empty is left out, a trace stands below its line."""
    shown = dict(fields)
    at, level, module = shown.pop("timestamp"), shown.pop("level"), shown.pop("module")
    head = f"{at:%H:%M:%S.%f}"[:-3] + f" {_COLOURS.get(level, '')}{level:<8}\033[0m {shown.pop('service')} {module}"
    message, trace = shown.pop("message"), shown.pop("trace", "")
    shown.pop("environment")
    rest = " ".join(f"\033[2m{key}=\033[0m{value}" for key, value in shown.items() if value not in ("", None))
    return f"{head} {message} {rest}\n{trace}".encode(errors="backslashreplace")
