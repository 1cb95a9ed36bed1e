"""In which order a release takes the place of another, and what its replicas start from."""

import itertools
import json
import stat
import sys
from pathlib import Path

import pytest

from common.services import SERVICES
from ops import rolling_upgrade
from ops.ports import Layout
from ops.processes import start_script_path
from ops.stack import Stack

OLD = "v0.1.0"
DESCRIBED: dict[str, dict[str, str]] = {name: {} for name in SERVICES}


@pytest.fixture
def here(tmp_path: Path) -> Stack:
    """A stack that another checkout has prepared, and nothing of it runs."""
    here = Stack(Layout(tmp_path, 18000, replicas=2))
    (here.engines / "start").mkdir()
    for name in here.layout.all_replicas():
        start_script_path(here.engines, name).write_text(f"#!/bin/sh\nexec /srv/old/.venv/bin/python {name}\n")
    here.layout.description.write_text(json.dumps({"services": DESCRIBED, "pids": {"wallet": 42}}))
    return here


def scripts(here: Stack) -> dict[str, str]:
    return {name: start_script_path(here.engines, name).read_text() for name in here.layout.all_replicas()}


def test_migrations_come_before_the_first_new_replica_and_never_on_the_way_back(here: Stack) -> None:
    forward, back = rolling_upgrade.forward(here.layout), rolling_upgrade.back(here.layout)
    assert [step.replica is None for step in forward] == [True] + [False] * (2 * len(SERVICES))
    assert all(step.replica is not None for step in back)


def test_each_replica_is_replaced_once_each_way_and_two_of_a_service_never_in_a_row(here: Stack) -> None:
    for steps in (rolling_upgrade.forward(here.layout)[1:], rolling_upgrade.back(here.layout)):
        replaced = [step.replica for step in steps if step.replica is not None]
        assert sorted(each.name for each in replaced) == sorted(here.layout.all_replicas())
        assert all(one.service != other.service for one, other in itertools.pairwise(replaced))


def test_a_replica_starts_from_one_release_and_then_from_the_other_again(here: Stack) -> None:
    before = scripts(here)
    old, new = rolling_upgrade.running(here, OLD), rolling_upgrade.of_checkout(here, "this checkout")
    rolling_upgrade.start_from(here, new, "wallet-2")
    after = scripts(here)
    assert {name for name in after if after[name] != before[name]} == {"wallet-2"}
    assert sys.executable in after["wallet-2"]
    assert f"HTTP_PORT={here.layout.http_port('wallet', 2)}" in after["wallet-2"]
    assert stat.S_IMODE(start_script_path(here.engines, "wallet-2").stat().st_mode) == 0o500
    rolling_upgrade.start_from(here, old, "wallet-2")
    assert scripts(here) == before


def test_the_description_of_a_release_is_that_of_its_own_up(here: Stack) -> None:
    described = here.layout.description.read_text()
    old, new = rolling_upgrade.running(here, OLD), rolling_upgrade.of_checkout(here, "this checkout")
    assert old.description == described
    assert json.loads(new.description)["services"].keys() == SERVICES.keys()
    assert json.loads(new.description)["replicas"] == 2
    assert json.loads(new.description)["pids"] == {"wallet": 42}


def test_a_release_with_other_services_is_refused(here: Stack) -> None:
    here.layout.description.write_text(json.dumps({"services": {**DESCRIBED, "payouts": {}}}))
    with pytest.raises(rolling_upgrade.OtherServices, match="payouts"):
        rolling_upgrade.running(here, OLD)
