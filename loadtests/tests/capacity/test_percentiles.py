"""Percentiles, rates and slopes, against answers worked out by hand."""

import math

import pytest

from loadtests import percentiles


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 5.0), (51, 6.0), (90, 9.0), (95, 10.0), (99, 10.0), (100, 10.0), (0, 1.0)]
)
def test_a_percentile_is_a_sample_of_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentiles.percentile([float(number) for number in range(1, 11)], percent) == expected


def test_no_samples_have_no_percentile() -> None:
    assert math.isnan(percentiles.percentile([], 99))
    assert all(math.isnan(figure) for figure in percentiles.summary_ms([]).values())


def test_a_summary_sorts_and_speaks_milliseconds() -> None:
    assert percentiles.summary_ms([0.3, 0.1, 0.2]) == pytest.approx({"p50": 200, "p95": 300, "p99": 300, "max": 300})


def test_the_slope_leaves_out_a_slow_start_and_a_slow_end() -> None:
    steady = [10 + number / 100 for number in range(100)]  # 100 a second
    assert percentiles.slope([0.0, 5.0, *steady, 30.0, 40.0]) == pytest.approx(100)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
def test_too_few_or_simultaneous_events_have_no_slope(times: list[float]) -> None:
    assert math.isnan(percentiles.slope(times))


def test_bins_hold_every_event_once() -> None:
    times = [0.0, 0.1, 0.6, 1.0, 1.2]
    assert percentiles.per_second(times, 0.0, 1.2, 0.5) == [4.0, 2.0, 4.0]
    assert percentiles.per_second([-1.0, 3.0], 0.0, 1.0, 0.5) == [0.0, 0.0]


@pytest.mark.parametrize(("values", "place"), [([3.0, 1.0, 2.0], 2), ([4.0, 1.0, 3.0, 2.0], 3), ([7.0], 0)])
def test_the_median_is_one_of_the_rounds(values: list[float], place: int) -> None:
    assert percentiles.median_index(values) == place


def test_a_median_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentiles.median_index([])


def test_a_histogram_is_read_linearly_within_a_bucket() -> None:
    buckets = [(1.0, 0.0), (2.0, 50.0), (4.0, 100.0), (math.inf, 100.0)]
    assert percentiles.histogram_percentile(buckets, 25) == pytest.approx(1.5)
    assert percentiles.histogram_percentile(buckets, 75) == pytest.approx(3.0)


def test_beyond_the_last_bucket_the_last_bound_is_given() -> None:
    assert percentiles.histogram_percentile([(1.0, 1.0), (math.inf, 10.0)], 99) == 1.0
    assert math.isnan(percentiles.histogram_percentile([(1.0, 0.0), (math.inf, 0.0)], 99))
    assert math.isnan(percentiles.histogram_percentile([], 50))
