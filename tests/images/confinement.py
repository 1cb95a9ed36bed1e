"""What the process of a container may do, as the kernel says: not what was asked for."""

import json
import re
from pathlib import Path

from msgspec import Struct

from tests.images import runtime

NO_CAPABILITIES = "0000000000000000"


class Confinement(Struct, frozen=True):
    """Of a running process."""

    ids: frozenset[int]
    """Every uid and gid: real, effective, saved and of the file system."""
    capabilities: frozenset[str]
    """Every set of capabilities, as the kernel writes it."""
    may_gain_privileges: bool
    root_is_read_only: bool
    memory_bytes: int

    def problems(self, *, ids: frozenset[int] = frozenset({10001})) -> list[str]:
        """What it may beyond an ordinary user of *ids* on a root that cannot be written."""
        rules = {
            f"it runs as {sorted(self.ids)}": self.ids == ids,
            f"it has the capabilities {sorted(self.capabilities)}": self.capabilities == {NO_CAPABILITIES},
            "it may gain privileges": not self.may_gain_privileges,
            "it can write its root": self.root_is_read_only,
        }
        return [problem for problem, holds in rules.items() if not holds]


def of(container: str) -> Confinement | None:
    """Of the first process of *container*; None when it does not run."""
    [described] = json.loads(runtime.run("podman", "inspect", container))
    if not (pid := described["State"]["Pid"]):
        return None
    process = Path(f"/proc/{pid}")
    facts = dict(re.findall(r"^(\w+):\t(.*)$", (process / "status").read_text(), flags=re.MULTILINE))
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    return Confinement(
        ids=frozenset(map(int, f"{facts['Uid']} {facts['Gid']}".split())),
        capabilities=frozenset(facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")),
        may_gain_privileges=facts["NoNewPrivs"] != "1",
        root_is_read_only=all("ro" in mount[5].split(",") for mount in mounts if mount[4] == "/"),
        memory_bytes=int(facts["VmRSS"].split()[0]) * 1024,
    )
