"""Floors: what the bare building blocks do on this machine, in the same run, so that our own figures mean something.

Each floor is measured for a few seconds with nothing of ours around it: the same libraries, no rules, no tables but
its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from loadtests.floors import broker, http, posting, rpc

SECONDS = 2.0


class Floor(Protocol):
    """Measures for about *seconds*; answers figures by name: `per_s` and CPU-milliseconds each by process."""

    async def __call__(self, description: Mapping[str, Any], seconds: float) -> dict[str, dict[str, Any]]: ...


FLOORS: Mapping[str, Floor] = {
    "HTTP": http.measure,
    "posting": posting.measure,
    "broker": broker.measure,
    "gRPC": rpc.measure,
}
