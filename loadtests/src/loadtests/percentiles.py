"""Pure arithmetic on samples: percentiles, rates and slopes."""

import math
from collections.abc import Iterable, Sequence


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of *ordered* samples: a value that was measured, never one in between.

    NaN without samples.
    """
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def summary_ms(seconds: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest of durations in seconds, as milliseconds."""
    ordered = sorted(seconds)
    found = {f"p{percent}": percentile(ordered, percent) * 1000 for percent in (50, 95, 99)}
    return found | {"max": ordered[-1] * 1000 if ordered else math.nan}


def slope(times: Iterable[float], first_share: float = 0.2, last_share: float = 0.8) -> float:
    """Events a second between the given shares of all events: the rate without its start and its end.

    NaN when there are too few.
    """
    ordered = sorted(times)
    first, last = int(len(ordered) * first_share), int(len(ordered) * last_share) - 1
    if last <= first or ordered[last] <= ordered[first]:
        return math.nan
    return (last - first) / (ordered[last] - ordered[first])


def per_second(times: Iterable[float], start: float, end: float, width_seconds: float) -> list[float]:
    """Events a second in bins of *width_seconds* from *start* to *end*."""
    bins = [0] * max(1, math.ceil((end - start) / width_seconds))
    for time in times:
        if start <= time <= end:
            bins[min(int((time - start) / width_seconds), len(bins) - 1)] += 1
    return [count / width_seconds for count in bins]


def median_index(values: Sequence[float]) -> int:
    """Where the median stands; of an even number, the lower of the two in the middle. Raises ValueError when empty."""
    if not values:
        raise ValueError("no values, no median")
    order = sorted(range(len(values)), key=values.__getitem__)
    return order[(len(order) - 1) // 2]


def histogram_percentile(buckets: Sequence[tuple[float, float]], percent: float) -> float:
    """The percentile from cumulative (upper bound, count) buckets, linear within a bucket as Prometheus does it.

    The largest finite bound when it lies beyond all of them, NaN without counts.
    """
    if not buckets or buckets[-1][1] <= 0:
        return math.nan
    wanted = buckets[-1][1] * percent / 100
    below_bound, below_count = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            if math.isinf(bound):
                return below_bound
            share = (wanted - below_count) / (count - below_count) if count > below_count else 1.0
            return below_bound + (bound - below_bound) * share
        below_bound, below_count = bound, count
    return below_bound
