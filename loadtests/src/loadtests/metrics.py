"""Reads what services say of themselves in Prometheus' text format."""

import math
import re
from collections.abc import Iterable, Mapping

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> Samples:
    """Every sample by its name and labels."""
    found: Samples = {}
    for line in text.splitlines():
        if not line.startswith("#") and (read := _LINE.fullmatch(line)):
            found[read[1], frozenset(_LABEL.findall(read[2] or ""))] = float(read[3])
    return found


def difference(later: Mapping[tuple[str, Labels], float], earlier: Mapping[tuple[str, Labels], float]) -> Samples:
    """What was counted between the two."""
    return {key: value - earlier.get(key, 0.0) for key, value in later.items()}


def total(samples: Mapping[tuple[str, Labels], float], name: str, **labels: str) -> float:
    """The sum of all samples of *name* that carry *labels*."""
    wanted = set(labels.items())
    return sum(value for (found, carried), value in samples.items() if found == name and wanted <= carried)


def buckets(samples: Mapping[tuple[str, Labels], float], name: str, **labels: str) -> list[tuple[float, float]]:
    """A histogram's cumulative (upper bound, count), summed over the labels that are not named, in order."""
    wanted = set(labels.items())
    found: dict[float, float] = {}
    for (sample, carried), value in samples.items():
        if sample == f"{name}_bucket" and wanted <= carried:
            bound = float(dict(carried)["le"].replace("+Inf", "inf"))
            found[bound] = found.get(bound, 0.0) + value
    return sorted(found.items())


def mean(samples: Mapping[tuple[str, Labels], float], name: str, **labels: str) -> float:
    """A histogram's mean, NaN without counts."""
    count = total(samples, f"{name}_count", **labels)
    return total(samples, f"{name}_sum", **labels) / count if count else math.nan


def values(samples: Iterable[tuple[str, Labels]], name: str, label: str) -> list[str]:
    """The values that *label* takes in samples of *name*, sorted."""
    return sorted({dict(carried)[label] for found, carried in samples if found == name and label in dict(carried)})
