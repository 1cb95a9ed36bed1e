"""docs/operating/capacity.md: its tables follow from the settings that they are about."""

import re
from pathlib import Path

import pytest

from common.database_roles import CONNECTIONS_MAX
from common.services import SERVICES
from common.settings import ServiceSettings
from ops import postgresql

PAGE = (Path(__file__).resolve().parents[1] / "docs/operating/capacity.md").read_text()
POOL_SIZE = ServiceSettings.model_fields["pool_size"].default
SERVER = int(
    postgresql.settings(port=1, socket_folder=Path("/"), memory_bytes=1)["max_connections"][0],
)


def cells(heading: str) -> list[list[str]]:
    """The rows of the table whose first cell is *heading*."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_the_budget_of_connections_is_that_of_the_settings() -> None:
    databases = sum(bool(service.database) for service in SERVICES.values())
    expected = []
    for replicas in (1, 2, 3):
        held, updating = (databases * POOL_SIZE * count for count in (replicas, replicas + 1))
        expected.append([str(replicas), str(held), str(updating), f"{updating / SERVER:.0%}".replace("%", " %")])
    assert cells("replicas of every service") == expected
    assert f"connections, POOL_SIZE {POOL_SIZE} |" in PAGE
    assert f"A role may have {CONNECTIONS_MAX}," in PAGE
    assert f"gives out {SERVER}." in PAGE
    assert CONNECTIONS_MAX // POOL_SIZE - 1 == 5, "A service has five replicas at most"


@pytest.mark.parametrize("row", cells("payments a minute"), ids=lambda row: row[0])
def test_cores_follow_from_the_formula(row: list[str]) -> None:
    minute = int(row[0].replace(",", ""))
    assert row[1] == f"{minute / 60:.0f}"
    for cost, cores in zip((3.67, 2.45), row[2:], strict=True):
        assert cores == f"{minute / 60 * cost / 1000 / 0.75:.1f}"


def test_the_figures_are_those_of_the_log() -> None:
    """What the page repeats stands in the log of numbers, which the benches write."""
    log = (Path(__file__).resolve().parents[1] / "docs/log/numbers.md").read_text()
    for figure in ("3.67", "779", "2.45", "15,451", "21,537", "1,412", "147", "26.2", "18.2", "2,565", "103.7", "81.3"):
        assert re.search(rf"\b{re.escape(figure)}\b", log), figure
