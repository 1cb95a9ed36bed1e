"""Metrics and traces that cost next to nothing on the hot path.

Metrics: `counter("moves_total", …)` is exported as `commdesk_moves_total`; names end in a base unit (seconds, bytes) or
in `total`. The children of label values are bound once. Traces: the decision is made at the edge and
travels in the traceparent's flag; nothing of OpenTelemetry is called for what is not sampled, and a sampled span is
written when it is over, from the times that were taken anyway. The span of a failure is written also when its trace was
not sampled, so many a second.
"""

import random
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache

import prometheus_client
from msgspec import Struct
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from common import context
from common.rate_bound import RateBound

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# From 1 ms to the longest deadline anything here has.
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LABEL_SETS_MAX = 4096
# Traces are not worth a process that comes back later.
HAND_OVER_SECONDS = 2.0
# Spans of failures whose traces were not sampled, of one process.
FAILURES_PER_SECOND_MAX = 20


PREFIX = "commdesk_"


class Definition(Struct, frozen=True):
    """A metric as the code registers it. *kind* is counter, histogram or gauge; only a histogram has buckets."""

    name: str
    kind: str
    documentation: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


# By exported name, those of all modules that are imported: the reference of metrics is written from it.
DEFINITIONS: dict[str, Definition] = {}


def _define(kind: str, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float] = ()) -> str:
    """Note a metric; returns the name as it is exported."""
    exported = _exported(name)
    DEFINITIONS[exported] = Definition(exported, kind, documentation, tuple(labels), tuple(map(float, buckets)))
    return exported


def _exported(name: str) -> str:
    """*name* as it is exported. Raises ValueError for one that already has the prefix."""
    if name.startswith(PREFIX):
        raise ValueError(f"the prefix is added here: {name} would be exported as {PREFIX}{name}")
    return PREFIX + name


class Counter:
    """A counter by labels; `of(…)` gives the child of these label values, made once and remembered."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        counter = prometheus_client.Counter(_define("counter", name, documentation, labels), documentation, labels)

        @lru_cache(maxsize=_LABEL_SETS_MAX)
        def of(*values: str) -> prometheus_client.Counter:
            return counter.labels(*values) if values else counter

        self.of = of


class Histogram:
    """A histogram by labels, of seconds unless its buckets say otherwise; `of(…)` as in Counter."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS_BUCKETS
    ) -> None:
        exported = _define("histogram", name, documentation, labels, buckets)
        histogram = prometheus_client.Histogram(exported, documentation, labels, buckets=buckets)

        @lru_cache(maxsize=_LABEL_SETS_MAX)
        def of(*values: str) -> prometheus_client.Histogram:
            return histogram.labels(*values) if values else histogram

        self.of = of


class Gauge:
    """A gauge by labels; `of(…)` as in Counter."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        gauge = prometheus_client.Gauge(_define("gauge", name, documentation, labels), documentation, labels)

        @lru_cache(maxsize=_LABEL_SETS_MAX)
        def of(*values: str) -> prometheus_client.Gauge:
            return gauge.labels(*values) if values else gauge

        self.of = of


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(name, documentation, labels)


def histogram(
    name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS_BUCKETS
) -> Histogram:
    return Histogram(name, documentation, labels, buckets)


def gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
    return Gauge(name, documentation, labels)


def exposition() -> bytes:
    """All metrics of this process in Prometheus' text format."""
    return prometheus_client.generate_latest()


class _Tracing:
    """Where finished spans go; nothing until tracing is set up."""

    def __init__(self) -> None:
        self.processor: SpanProcessor | None = None
        self.resource = Resource.get_empty()
        self.sample_ratio = 0.0
        self.failures = RateBound(FAILURES_PER_SECOND_MAX)


_tracing = _Tracing()
_SCOPE = InstrumentationScope("commdesk.common")


def setup_tracing(
    endpoint: str | None, service: str = "", sample_ratio: float = 0.01, processor: SpanProcessor | None = None
) -> None:
    """Export sampled spans to the OTLP/HTTP *endpoint* (or hand them to *processor*); None switches tracing off."""
    _tracing.processor = processor or (
        BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")) if endpoint else None
    )
    _tracing.resource = Resource.create({"service.name": service})
    _tracing.sample_ratio = sample_ratio


def shutdown_tracing() -> None:
    """Hand over what is waiting, then stop exporting. A collector that does not take it holds nobody up for long."""
    processor, _tracing.processor = _tracing.processor, None
    if processor is not None:
        handing_over = threading.Thread(target=processor.shutdown, name="traces", daemon=True)
        handing_over.start()
        handing_over.join(HAND_OVER_SECONDS)


def traceparent_for(received: str | None) -> str:
    """The traceparent of a request: a span within the caller's trace, or a new trace with its decision."""
    if received is not None and context.is_traceparent(received):
        return context.child_traceparent(received)
    return context.new_traceparent(_tracing.processor is not None and random.random() < _tracing.sample_ratio)  # noqa: S311


def is_sampled(traceparent: str) -> bool:
    """Whether spans of this trace are exported."""
    return _tracing.processor is not None and bool(int(traceparent[-1:] or "0", 16) & 1)


def record_span(
    name: str,
    traceparent: str,
    started_ns: int,
    ended_ns: int,
    *,
    parent: str | None = None,
    kind: SpanKind = SpanKind.SERVER,
    attributes: Mapping[str, str | int | float | bool] | None = None,
    failed: bool = False,
    links: Sequence[str] = (),
) -> None:
    """Export the span *traceparent* that is over, when it is sampled or *failed*. Times are nanoseconds since 1970.

    *links* are the traceparents of the requests of a batch.
    """
    processor = _tracing.processor
    if processor is None or not (is_sampled(traceparent) or (failed and traceparent and _tracing.failures.admits())):
        return
    own = _span_context(traceparent, is_remote=False)
    processor.on_end(
        ReadableSpan(
            name=name,
            # The flag says "exported" here: the exporter leaves out what has it not.
            context=SpanContext(own.trace_id, own.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)),
            parent=_span_context(parent, is_remote=True) if parent else None,
            resource=_tracing.resource,
            attributes=attributes,
            links=[Link(_span_context(link, is_remote=True)) for link in links],
            kind=kind,
            instrumentation_scope=_SCOPE,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=started_ns,
            end_time=ended_ns,
        )
    )


def _span_context(traceparent: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(
        int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote, TraceFlags(int(traceparent[53:55], 16))
    )
