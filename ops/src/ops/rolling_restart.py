"""Restart every service of a running stack, one replica at a time, so that the others serve meanwhile."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from common.services import SERVICES
from ops import edge_routes, readiness, stack
from ops.ports import Layout, Replica
from ops.progress import Progress

# A busy machine starts a process slowly; the other replicas serve meanwhile.
READY_SECONDS_MAX = 180.0
PAUSE_SECONDS = 0.1


class NotReplicated(Exception):
    """A single replica has nobody to serve in its place."""


class Restarted(Struct, frozen=True):
    """One replica, and what its restart took."""

    name: str
    drain_seconds: float
    """From the request to stop until the process was gone."""
    start_seconds: float
    """From the start until it was ready."""


def replicas(layout: Layout, services: Sequence[str] = ()) -> Iterator[Replica]:
    """Those of *services* (of all, when none is named) in the order of their restarts: all first ones, then all second.

    Two replicas of one service are so as far apart as they can be.
    """
    for number in range(layout.replicas):
        for service in services or SERVICES:
            yield layout.replicas_of(service)[number]


def restart(
    layout: Layout,
    progress: Progress,
    order: Iterable[Replica],
    *,
    before_start: Callable[[Replica], None] = lambda replica: None,
) -> list[Restarted]:
    """Restart the replicas of *order* in turn; *before_start* is called with each while it stands still.

    Raises NotReplicated, and StackFailed when one does not come back: the others are left as they are.
    """
    supervisor = stack.existing_supervisor(layout)
    if supervisor is None:
        raise stack.StackFailed(f"no stack runs in {layout.run_dir}")
    if layout.replicas < 2:
        raise NotReplicated("a restart without interruption needs two replicas: REPLICAS=2 make up")
    credentials = stack.Stack(layout).credentials
    done = []
    for replica in order:
        started = time.monotonic()
        supervisor.stop(replica.name)
        gone = time.monotonic()
        before_start(replica)
        supervisor.start(replica.name)
        while not readiness.is_ready(layout, credentials, replica.name):
            if time.monotonic() - gone > READY_SECONDS_MAX:
                raise stack.StackFailed(f"{replica.name} is not ready after {READY_SECONDS_MAX:.0f} s")
            time.sleep(PAUSE_SECONDS)
        ready = time.monotonic()
        # The edge sends nothing to a replica before it has found it well; the next one stops only after that.
        time.sleep(2 * edge_routes.HEALTH_CHECK_SECONDS)
        done.append(Restarted(replica.name, gone - started, ready - gone))
        progress.done(f"{replica.name}: drained in {gone - started:.1f} s, ready {ready - gone:.1f} s later")
    return done
