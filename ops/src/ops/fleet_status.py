"""`commdesk status`: what of a fleet runs, and whether it is ready.

Of a stack of this machine the supervisor knows the processes. Of any other fleet there is stack.json alone, so its
services and its edge are asked.
"""

import json
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from ops import edge, readiness, stack
from ops.ports import Layout


class Row(Struct, frozen=True):
    """A process; *pid* and *up_seconds* are 0 where only its answers are known."""

    name: str
    state: str
    ready: bool
    pid: int
    up_seconds: int
    url: str


def rows(layout: Layout) -> list[Row]:
    """Every process of the fleet; none where there is none."""
    if states := stack.states(layout):
        credentials = stack.Stack(layout).credentials
        return [
            Row(
                name=state.name,
                state=state.state,
                ready=bool(state.pid) and readiness.is_ready(layout, credentials, state.name),
                pid=state.pid,
                up_seconds=state.up_seconds,
                url=readiness.health_url(layout, state.name),
            )
            for state in states
        ]
    if not layout.description.is_file():
        return []
    description = json.loads(layout.description.read_text())
    urls = {name: f"{service['http']}/health/ready" for name, service in description["services"].items()}
    urls["edge"] = f"{description['edge_url']}/health"
    with ThreadPoolExecutor(len(urls)) as threads:
        answers = dict(zip(urls, threads.map(edge.responds, urls.values()), strict=True))
    return [
        Row(name=name, state="ANSWERS" if answers[name] else "AWAY", ready=answers[name], pid=0, up_seconds=0, url=url)
        for name, url in urls.items()
    ]
