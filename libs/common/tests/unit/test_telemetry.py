import socket
import time
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common import context, telemetry


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.setup_tracing(None, "wallet", 1.0, SimpleSpanProcessor(exporter))
    yield exporter
    telemetry.setup_tracing(None)


def test_children_are_bound_once():
    calls = telemetry.counter("test_calls_total", "x", ["method"])
    assert calls.of("a") is calls.of("a")
    calls.of("a").inc()
    telemetry.histogram("test_seconds", "x", ["method"]).of("a").observe(0.01)
    telemetry.gauge("test_depth", "x").of().set(3)
    text = telemetry.exposition().decode()
    assert 'test_calls_total{method="a"} 1.0' in text
    assert 'test_seconds_count{method="a"} 1.0' in text
    assert "test_depth 3.0" in text


@pytest.mark.parametrize("make", [telemetry.counter, telemetry.histogram, telemetry.gauge])
def test_the_prefix_is_added_once(make: Callable[[str, str], object]):
    with pytest.raises(ValueError, match="prefix"):
        make("commdesk_test_depth_total", "x")


def test_a_sampled_span_is_written_under_its_parent(spans: InMemorySpanExporter):
    parent = context.new_traceparent(sampled=True)
    child = telemetry.traceparent_for(parent)
    telemetry.record_span("POST /x", child, 1_000, 3_000, parent=parent, attributes={"status": 200}, failed=True)
    [span] = spans.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == parent[3:35]
    assert f"{span.context.span_id:016x}" == child[36:52]
    assert f"{span.parent.span_id:016x}" == parent[36:52]
    assert (span.start_time, span.end_time, span.status.is_ok) == (1_000, 3_000, False)
    assert span.resource.attributes["service.name"] == "wallet"


def test_what_is_not_sampled_is_not_written(spans: InMemorySpanExporter):
    telemetry.record_span("x", context.new_traceparent(sampled=False), 1, 2)
    assert spans.get_finished_spans() == ()
    assert telemetry.traceparent_for("nonsense").endswith("-01")
    telemetry.setup_tracing(None)
    assert telemetry.traceparent_for(None).endswith("-00")
    telemetry.record_span("x", context.new_traceparent(sampled=True), 1, 2)
    assert spans.get_finished_spans() == ()


def test_a_failure_is_written_without_sampling_so_many_a_second(spans: InMemorySpanExporter):
    traceparent = context.new_traceparent(sampled=False)
    started = time.monotonic()
    for _ in range(1_000):
        telemetry.record_span("x", traceparent, 1, 2, failed=True)
    written = spans.get_finished_spans()
    assert 1 <= len(written) <= telemetry.FAILURES_PER_SECOND_MAX * (int(time.monotonic() - started) + 2)
    assert f"{written[0].context.trace_id:032x}" == traceparent[3:35]
    # What exports in batches leaves out what has not the flag.
    assert written[0].context.trace_flags.sampled


def test_a_failure_of_no_trace_is_not_written(spans: InMemorySpanExporter):
    telemetry.record_span("x", "", 1, 2, failed=True)
    assert spans.get_finished_spans() == ()


def test_a_door_within_a_trace_keeps_the_callers_decision():
    for sampled in (True, False):
        parent = context.new_traceparent(sampled)
        assert telemetry.traceparent_for(parent)[53:] == parent[53:]


def test_a_collector_that_never_answers_does_not_hold_up_the_end():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        telemetry.setup_tracing(f"http://127.0.0.1:{silent.getsockname()[1]}", "wallet", 1.0)
        telemetry.record_span("x", context.new_traceparent(sampled=True), 1, 2)
        started = time.monotonic()
        telemetry.shutdown_tracing()
        assert time.monotonic() - started < telemetry.HAND_OVER_SECONDS + 1
