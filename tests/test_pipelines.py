"""Image, compose file and workflows, by the linters of each; and the rules that these linters do not know."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.services import SERVICES

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sysconfig.get_path("scripts"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# May be given a token that writes, each for what its comment in the workflow says.
WRITERS = {"release.yml": {"image", "chart", "release"}}


def run(*command: str) -> None:
    """Run a linter; what it says is the failure's text."""
    # actionlint finds shellcheck by PATH.
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(ROOT / ".run")}
    linted = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def loaded(workflow: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(workflow.read_text())
    return content


def test_the_dockerfile_is_well_formed() -> None:
    run("hadolint", "Dockerfile")


def test_the_compose_file_follows_its_schema() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_the_workflows_follow_their_schema() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))
    run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")


def test_the_workflows_are_well_formed() -> None:
    run("actionlint", *map(str, WORKFLOWS))


def test_the_workflows_are_safe() -> None:
    """Pinned actions, no injection by templates, no credentials left behind: zizmor's audits."""
    run("zizmor", "--offline", "--no-progress", ".github")


def test_scripts_are_well_formed() -> None:
    run("shellcheck", "ops/install.sh", "protos/generate.sh", ".ci/run")


def test_no_credential_is_in_the_checkout() -> None:
    options = ("--quiet", "--redact", "--no-validate", "--no-update-check", "--git-history", "none")
    run("kingfisher", "scan", ".", *options, "--exclude", ".venv", "--exclude", ".run")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_the_commit_of_a_version(workflow: Path) -> None:
    for used in re.findall(r"uses: (.+)", workflow.read_text()):
        is_ours = used.startswith("$/.github/workflows/")
        assert is_ours or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


def test_an_action_has_one_version_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for action, pin in re.findall(r"uses: ([\w./-]+)@(.+)", workflow.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_has_the_permissions_that_it_names_and_a_limit(workflow: Path) -> None:
    content = loaded(workflow)
    assert content["permissions"] == {}
    for name, job in content["jobs"].items():
        permissions = job["permissions"]
        assert permissions.get("contents") in ("read", "write")
        writes = {permission for permission, access in permissions.items() if access == "write"}
        assert not writes or name in WRITERS.get(workflow.name, ()), (workflow.name, name)
        assert "timeout-minutes" in job or "uses" in job, (workflow.name, name)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_expression_stands_in_a_script(workflow: Path) -> None:
    """What comes from outside reaches a script as a variable, never as its text."""
    for name, job in loaded(workflow)["jobs"].items():
        for step in job.get("steps", ()):
            assert "${{" not in step.get("run", ""), (workflow.name, name)


def test_every_deployable_gets_an_image() -> None:
    printed = subprocess.run([ROOT / ".github/deployables"], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed.removeprefix("names=")) == [*SERVICES, "sandbox", "ops"]


def test_a_deployment_waits_for_a_person() -> None:
    content = loaded(ROOT / ".github/workflows/deploy.yml")
    # YAML 1.1 reads the key `on` as true.
    assert set(content[True]) == {"workflow_dispatch"}
    assert all(job["environment"] for job in content["jobs"].values())


def test_make_targets_of_the_workflows_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.M))
    called = {name for workflow in WORKFLOWS for name in re.findall(r"\bmake ([a-z-]+)\b", _scripts(workflow))}
    assert called - {"demo"} <= targets - {"demo"}
    assert "demo" in called & targets


def _scripts(workflow: Path) -> str:
    steps = [step for job in loaded(workflow)["jobs"].values() for step in job.get("steps", ())]
    return "\n".join(str(step.get("run", "")) for step in steps)


def test_the_base_of_images_is_pinned_by_its_digest() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    [base] = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", dockerfile, flags=re.M)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert set(re.findall(r"^FROM (\S+)", dockerfile, flags=re.M)) == {"${PYTHON_IMAGE}"}
