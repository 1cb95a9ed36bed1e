"""The README's commands are those that Helm and the chart take."""

import re
import shlex
import subprocess
import sysconfig
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.chart_tables import CHART
from tests.chart.rendering import Deployment, of_kind, render

README = (CHART / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"^```\n(.*?)^```", README, flags=re.M | re.S) for line in block.splitlines()]
RELEASES = [line for line in COMMANDS if re.match(r"helm upgrade .* \./helm --namespace pay\b", line)]


def deployment_of(command: str) -> Deployment:
    """What a `helm upgrade` of this chart deploys; pay.yaml is the example."""
    words = shlex.split(command)
    release = next(word for word in words[2:] if not word.startswith("-"))
    values: dict[str, Any] = {}
    options = list(pairwise(words))
    files = [Path(after).stem for word, after in options if word == "-f"]
    for assignments in [after for word, after in options if word == "--set"]:
        for assignment in assignments.split(","):
            path, _, text = assignment.partition("=")
            *parents, key = path.split(".")
            place = values
            for parent in parents:
                place = place.setdefault(parent, {})
            place[key] = {"true": True, "false": False}.get(text, text)
    assert files[0] == "pay"
    assert all((CHART / "values" / f"{name}.yaml").is_file() for name in files[1:])
    return Deployment(tuple(files[1:]), values, release)


def test_there_are_commands() -> None:
    verbs = {" ".join(line.split()[:2]) for line in COMMANDS if line.startswith("helm")}
    assert verbs == {"helm upgrade", "helm rollback", "helm history", "helm uninstall"}
    assert len(RELEASES) >= 7


@pytest.mark.parametrize("command", RELEASES)
def test_every_release_of_the_readme_is_accepted(command: str) -> None:
    assert render(deployment_of(command))


def test_blue_green_leaves_one_owner_for_each_object() -> None:
    """Helm refuses a release whose object another release owns."""
    commands = {deployment_of(command).release: command for command in RELEASES}
    owners: dict[tuple[str, str], str] = {}
    for release in ("commdesk-shared", "commdesk-blue", "commdesk-green", "commdesk-edge"):
        for each in render(deployment_of(commands[release])):
            key = (each["kind"], each["metadata"]["name"])
            assert owners.setdefault(key, release) == release, key
    assert {release for (kind, _), release in owners.items() if kind == "Deployment"} == {
        "commdesk-blue",
        "commdesk-green",
    }


def test_the_switch_of_blue_green_changes_the_edge_alone() -> None:
    edges = [deployment_of(command) for command in RELEASES if deployment_of(command).release == "commdesk-edge"]
    assert [each.values["edge"]["release"] for each in edges] == ["commdesk-blue", "commdesk-green"]
    for edge in edges:
        assert not of_kind(render(edge), "Deployment", "Job", "Issuer")


def test_traefik_takes_the_arguments_of_its_values() -> None:
    values = yaml.safe_load((CHART / "values/traefik.yaml").read_text())
    traefik = Path(sysconfig.get_path("scripts")) / "traefik"

    def answer(*arguments: str) -> str:
        # It reads all of its configuration first, then finds that this one has no ping.
        asked = subprocess.run([traefik, "healthcheck", *arguments], capture_output=True, text=True, check=False)
        return asked.stdout + asked.stderr

    assert "please enable `ping`" in answer(*values["additionalArguments"])
    assert "field not found" in answer(*values["additionalArguments"], "--entryPoints.web.transport.timeout=1s")
    assert any("readTimeout=15s" in argument for argument in values["additionalArguments"])
