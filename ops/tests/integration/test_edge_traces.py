"""The edge begins the trace of a request that comes without one; a client's own goes on."""

import time
from collections.abc import Iterator

import httpx
import pytest

from common import context
from ops.tests.integration.conftest import Edge, running
from tests.otlp_receiver import Receiver, Span, receiving

PATH = "/api/v1/payments"
# Traefik sends what it has every few seconds.
ARRIVED_SECONDS = 30.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Edge]:
    """An edge that samples every trace that it begins."""
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "TRACE_SAMPLE_RATIO": "1"}
    with running(tmp_path_factory.mktemp("traced"), tracing) as edge:
        yield edge


def passed_on(edge: Edge, headers: dict[str, str]) -> str:
    """The traceparent that a service gets with a request that has *headers*."""
    answer = httpx.post(f"{edge.url}{PATH}", headers=headers, content=b"x")
    traceparent: str = answer.json()["data"]["traceparent"]
    assert context.is_traceparent(traceparent)
    return traceparent


def spans_of(receiver: Receiver, traceparent: str) -> dict[str, Span]:
    """The spans of a trace by their id, once that of *traceparent* and those above it are there."""
    deadline = time.monotonic() + ARRIVED_SECONDS
    while time.monotonic() < deadline:
        spans = {span.span_id: span for span in receiver.of(traceparent[3:35])}
        if traceparent[36:52] in spans and root_of(spans, traceparent).parent_id not in spans:
            return spans
        time.sleep(0.1)
    raise AssertionError(f"of {traceparent} there are {list(spans)}")


def root_of(spans: dict[str, Span], traceparent: str) -> Span:
    span = spans[traceparent[36:52]]
    while span.parent_id in spans:
        span = spans[span.parent_id]
    return span


def test_the_edge_begins_the_trace_of_a_request_without_one(traced: Edge, receiver: Receiver) -> None:
    traceparent = passed_on(traced, {})
    assert traceparent.endswith("-01")
    root = root_of(spans_of(receiver, traceparent), traceparent)
    assert (root.service, root.parent_id) == ("edge", "")
    assert root.attributes["url.path"] == PATH


def test_each_request_is_a_trace_of_its_own(traced: Edge) -> None:
    assert passed_on(traced, {})[3:35] != passed_on(traced, {})[3:35]


def test_the_trace_of_a_client_goes_on(traced: Edge, receiver: Receiver) -> None:
    given = context.new_traceparent(sampled=True)
    traceparent = passed_on(traced, {"traceparent": given})
    assert traceparent[3:35] == given[3:35]
    assert root_of(spans_of(receiver, traceparent), traceparent).parent_id == given[36:52]


def test_what_a_client_does_not_sample_is_not_sampled(traced: Edge) -> None:
    assert passed_on(traced, {"traceparent": context.new_traceparent(sampled=False)}).endswith("-00")


def test_without_a_receiver_the_edge_begins_no_trace(plain: Edge) -> None:
    assert httpx.post(f"{plain.url}{PATH}", content=b"x").json()["data"]["traceparent"] == ""
