"""Baselines: what the bare building blocks do on this machine, in the same run, to compare our own figures with.

Each is measured for a few seconds with nothing of ours around it: the same libraries, no rules, no tables but
its own.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from loadtests.baselines import broker, http, rpc, sql_journal

SECONDS = 2.0


class Baseline(Protocol):
    """Measures for about *seconds*; answers figures by name: `per_s` and CPU-milliseconds each by process."""

    async def __call__(self, description: Mapping[str, Any], seconds: float) -> dict[str, dict[str, Any]]: ...


BASELINES: Mapping[str, Baseline] = {
    "HTTP": http.measure,
    "posting": sql_journal.measure,
    "broker": broker.measure,
    "gRPC": rpc.measure,
}
