"""Replace the replicas of a running stack, one at a time, by those of another release, and bring the first ones back.

The engines, the edge and the gateway's simulator stay as they are.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence

from msgspec import Struct

from common.services import SERVICES
from ops import fleet, rolling_restart, stack, structures
from ops.ports import Layout, Replica
from ops.private_files import write_private
from ops.processes import start_script, start_script_path
from ops.progress import Progress
from ops.rolling_restart import Restarted
from ops.stack import Stack


class OtherServices(ValueError):
    """Two releases have not the same services: some would have no replica to replace, or none to come back to."""


class Release(Struct, frozen=True):
    """What the replicas of a stack start from, and what its tools read."""

    name: str
    scripts: Mapping[str, str]
    """By replica: its start script, which names the Python of a checkout and sets the environment that it wants."""
    description: str
    """The text of stack.json."""


class Step(Struct, frozen=True):
    """One thing to do while everything else serves."""

    replica: Replica | None = None
    """Which one is replaced; none: the release's migrations and its topology are applied."""


def forward(layout: Layout) -> list[Step]:
    """To a newer release: what its replicas need is there before the first of them, and the older ones work with it."""
    return [Step(), *back(layout)]


def back(layout: Layout) -> list[Step]:
    """To the release that ran before: schema and topology stay, because they only grow."""
    return [Step(replica) for replica in rolling_restart.replicas(layout)]


def running(here: Stack, name: str) -> Release:
    """The release that a stack was started with, read from what its `up` wrote. Raises OtherServices."""
    description = here.layout.description.read_text()
    if changed := json.loads(description)["services"].keys() ^ SERVICES.keys():
        raise OtherServices(f"{name} and this checkout do not both have {', '.join(sorted(changed))}")
    scripts = {each: start_script_path(here.engines, each).read_text() for each in here.layout.all_replicas()}
    return Release(name, scripts, description)


def of_checkout(here: Stack, name: str) -> Release:
    """The release that this checkout holds, for the same stack."""
    layout = here.layout
    scripts = {
        each: start_script(fleet.service(layout, here.credentials, replica, os.environ), layout.run_dir)
        for each, replica in layout.all_replicas().items()
    }
    # Pids change with every restart: those who need them ask the supervisor.
    pids = json.loads(layout.description.read_text())["pids"]
    return Release(name, scripts, json.dumps(here.described(pids, engines_only=False), indent=2) + "\n")


def take(here: Stack, steps: Sequence[Step], release: Release, progress: Progress) -> list[Restarted]:
    """Take *steps* to *release*: what each replica's restart took. Raises StackFailed, NotReplicated, TakenAway."""
    done: list[Restarted] = []
    for step in steps:
        if step.replica is None:
            migrate(here, release, progress)
            continue
        done += rolling_restart.restart(
            here.layout, progress, [step.replica], before_start=lambda replica: start_from(here, release, replica.name)
        )
    write_private(here.layout.description, release.description)
    return done


def migrate(here: Stack, release: Release, progress: Progress) -> None:
    """Roles, schemas and topology of *release*, while the replicas of another one work with what was there."""
    description = json.loads(release.description)
    before = asyncio.run(structures.structure(description))
    stack.migrate(here, progress)
    progress.note(f"{structures.added(before, asyncio.run(structures.structure(description)))}; nothing was taken away")


def start_from(here: Stack, release: Release, replica: str) -> None:
    """The next start of *replica* is that of *release*, also when the supervisor starts it."""
    write_private(start_script_path(here.engines, replica), release.scripts[replica], mode=0o500)
