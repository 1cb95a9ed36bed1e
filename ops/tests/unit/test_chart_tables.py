"""What the chart knows of the services is what the contract and the code say."""

import pytest

from common.services import SERVICES
from common.topology import CONTRACT
from ops import chart_tables
from ops.chart_tables import CHART

FILES = chart_tables.files()


@pytest.mark.parametrize("path", FILES)
def test_the_generated_files_are_what_the_code_says(path: str) -> None:
    assert (CHART / path).read_text() == FILES[path], "stale: run `make proto`"


def test_every_call_of_the_contract_has_a_callee() -> None:
    callers = chart_tables.callers_of_services()
    assert set(callers) == {*SERVICES}
    assert callers["payment"] == {"operator", "reconciler", "webhook-ingest"}
    assert callers["fraud"] == {"operator", "reconciler", "payment"}
    # Everybody asks identity whose access was revoked.
    assert callers["identity"] >= {*SERVICES, "operator"}
    assert set().union(*callers.values()) == set().union(*CONTRACT.calls.values())


def test_one_migration_declares_the_topology() -> None:
    rows = chart_tables.services()["services"]
    assert sum(row["topology"] for row in rows.values()) == 1
    assert all(row["database"] for row in rows.values() if row["topology"])


def test_callers_wait_for_nothing_that_works_off_queues() -> None:
    requests = {name: int(chart_tables.cpu_request(row).removesuffix("m")) for name, row in SERVICES.items()}
    assert requests["webhook-ingest"] == requests["fraud"] > requests["payment"] > requests["ledger"] >= 100


def test_a_text_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        chart_tables.between("services: {}", chart_tables.BEGIN, chart_tables.END, "")


def test_a_configuration_is_flat_on_the_command_line() -> None:
    nested = {"accessLog": {"filters": {"statusCodes": ["400-599", "300"]}}, "global": {"checkNewVersion": False}}
    assert list(chart_tables._flat(nested)) == [
        ("accessLog.filters.statusCodes", "400-599,300"),
        ("global.checkNewVersion", "false"),
    ]
