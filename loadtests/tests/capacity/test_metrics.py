"""Reading Prometheus' text format, as prometheus_client itself writes it."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from loadtests import metrics
from loadtests.percentiles import histogram_percentile


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_counters_are_summed_over_the_labels_that_are_not_named(registry: CollectorRegistry) -> None:
    counter = Counter("moves", "…", ["status", "gateway"], registry=registry)
    counter.labels("SUCCESS", 'a "quoted" one').inc(3)
    counter.labels("SUCCESS", "cashfree").inc(4)
    counter.labels("FAILED", "cashfree").inc(5)
    samples = metrics.parse(generate_latest(registry).decode())
    assert metrics.total(samples, "moves_total", status="SUCCESS") == 7
    assert metrics.total(samples, "moves_total") == 12
    assert metrics.values(samples, "moves_total", "status") == ["FAILED", "SUCCESS"]


def test_the_difference_starts_new_series_at_nothing(registry: CollectorRegistry) -> None:
    counter = Counter("moves", "…", ["status"], registry=registry)
    counter.labels("a").inc(2)
    before = metrics.parse(generate_latest(registry).decode())
    counter.labels("a").inc(5)
    counter.labels("b").inc(1)
    counted = metrics.difference(metrics.parse(generate_latest(registry).decode()), before)
    assert (metrics.total(counted, "moves_total", status="a"), metrics.total(counted, "moves_total", status="b")) == (
        5,
        1,
    )


def test_a_histogram_tells_its_mean_and_its_percentiles(registry: CollectorRegistry) -> None:
    histogram = Histogram("size", "…", ["queue"], buckets=(1, 10, 100), registry=registry)
    for size in (2, 4, 6, 8):
        histogram.labels("wallet.credit").observe(size)
    samples = metrics.parse(generate_latest(registry).decode())
    assert metrics.mean(samples, "size", queue="wallet.credit") == 5
    assert math.isnan(metrics.mean(samples, "size", queue="nobody's"))
    buckets = metrics.buckets(samples, "size", queue="wallet.credit")
    assert buckets == [(1.0, 0.0), (10.0, 4.0), (100.0, 4.0), (math.inf, 4.0)]
    assert histogram_percentile(buckets, 50) == pytest.approx(5.5)
