"""What a release states about itself, in the changelog, the chart and the workflow that publishes it."""

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def notes(changelog: str) -> dict[str, str]:
    """By heading, in their order: the lines of each section."""
    parts = re.split(r"^## (.+)\n", changelog, flags=re.M)[1:]
    return {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def released() -> dict[str, str]:
    sections = notes((ROOT / "docs/changelog.md").read_text())
    assert next(iter(sections)) == "Unreleased"
    return {heading: text for heading, text in sections.items() if heading != "Unreleased"}


def git(*command: str) -> str:
    """Empty where git knows nothing, as in a source archive."""
    return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_the_changelog_lists_versions_newest_first() -> None:
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+", heading) for heading in released())
    numbers = [tuple(map(int, heading[1:].split("."))) for heading in released()]
    assert numbers == sorted(numbers, reverse=True)


def test_the_chart_states_the_newest_version() -> None:
    newest = next(iter(released())).removeprefix("v")
    chart = yaml.safe_load((ROOT / "helm/Chart.yaml").read_text())
    example = yaml.safe_load((ROOT / "helm/values/example.yaml").read_text())
    assert {chart["version"], chart["appVersion"], example["image"]["tag"]} == {newest}


def test_the_workflow_takes_its_notes_from_the_changelog() -> None:
    workflow = (ROOT / ".github/workflows/release.yml").read_text()
    [program] = re.findall(r"awk -v heading=\"## \$VERSION\" '(.+)' docs/changelog\.md", workflow)
    for version, text in released().items():
        command = ["awk", "-v", f"heading=## {version}", program, "docs/changelog.md"]
        taken = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert taken.strip() == text != ""


def test_the_notes_of_a_release_stay_as_they_were_tagged() -> None:
    """A line that is added at the end of the file would stand in an old release instead of the next one.

    A checkout without tags has nothing to compare with.
    """
    for tag in git("tag", "--list", "v*").split():
        assert released()[tag] == notes(git("show", f"{tag}:docs/changelog.md"))[tag], tag
