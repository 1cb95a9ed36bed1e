"""Unexpected exceptions to Sentry, when SENTRY_DSN names a project: which error, in which code, of which trace.

Every log line of ERROR or above with an exception is a report; there is no other way to make one. A report is written
from a list of what it may hold, so that a new version of the library cannot add to it. The text of an exception may
hold a customer's data and stays in the log, where it is masked: the trace id leads there.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from loguru import logger

from common import context
from common.rate_bound import RateBound

if TYPE_CHECKING:
    from loguru import Message
    from sentry_sdk.types import Event, Hint

PER_SECOND_MAX = 5
HAND_OVER_SECONDS = 2.0

_close: Callable[..., None] | None = None

_KEPT = ("event_id", "timestamp", "level", "platform", "release", "environment")
_KEPT_OF_EXCEPTIONS = ("type", "module")
# No absolute path: it names the machine's folders. No lines of code and no variables.
_KEPT_OF_FRAMES = ("filename", "module", "function", "lineno", "in_app")


def setup(dsn: str, service: str, *, environment: str, release: str = "") -> None:
    """Report from now on, or nothing without a *dsn*. After logs.setup, which forgets all receivers of lines.

    Raises sentry_sdk.utils.BadDsn for a *dsn* that is none.
    """
    if not dsn:
        return
    # Half a second and 10 MB, for who uses it.
    import sentry_sdk

    sentry_sdk.init(
        dsn,
        environment=environment,
        # Without one, the library would ask git.
        release=f"{service}@{release or 'unknown'}",
        server_name=service,
        # Integrations hook into libraries and read requests; the log lines say all that is reported.
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_client_reports=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        max_request_body_size="never",
        spotlight=False,
        shutdown_timeout=HAND_OVER_SECONDS,
        before_send=_scrubbed,
    )
    bound = RateBound(PER_SECOND_MAX)

    def report(message: "Message") -> None:
        error = message.record["exception"]
        if error is not None and error.value is not None and bound.admits():
            sentry_sdk.capture_exception((error.type, error.value, error.traceback))  # type: ignore[arg-type]

    global _close
    _close = sentry_sdk.get_client().close
    logger.add(report, level="ERROR", format="{message}", catch=True)


def shutdown() -> None:
    """Hand over what is waiting, for two seconds at most, and report no more."""
    global _close
    close, _close = _close, None
    if close is not None:
        close(timeout=HAND_OVER_SECONDS)


def _scrubbed(event: Any, _: "Hint") -> "Event":
    kept: dict[str, Any] = {key: event[key] for key in _KEPT if key in event}
    kept["exception"] = {"values": [_exception(each) for each in event.get("exception", {}).get("values", ())]}
    kept["tags"] = {"service": event.get("server_name", "")}
    if trace_id := context.trace_id():
        kept["tags"]["trace_id"] = trace_id
    return kept  # type: ignore[return-value]


def _exception(reported: Mapping[str, Any]) -> dict[str, Any]:
    frames = (reported.get("stacktrace") or {}).get("frames", ())
    shown = {key: reported[key] for key in _KEPT_OF_EXCEPTIONS if reported.get(key)}
    shown["stacktrace"] = {"frames": [{key: each[key] for key in _KEPT_OF_FRAMES if key in each} for each in frames]}
    return shown
