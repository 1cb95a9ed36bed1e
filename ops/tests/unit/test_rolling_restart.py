"""In which order replicas are restarted, and when none is."""

import itertools
from pathlib import Path

import pytest

from ops import rolling_restart, stack
from ops.ports import Layout
from ops.progress import Progress


def test_each_replica_is_restarted_once_and_two_of_a_service_never_in_a_row() -> None:
    layout = Layout(Path("/srv/stack"), 18000, replicas=2)
    order = list(rolling_restart.replicas(layout))
    assert sorted(each.name for each in order) == sorted(layout.all_replicas())
    assert all(one.service != other.service for one, other in itertools.pairwise(order))


def test_nothing_is_restarted_where_nothing_runs(tmp_path: Path) -> None:
    layout = Layout(tmp_path, 18000, replicas=2)
    with pytest.raises(stack.StackFailed, match="no stack"):
        rolling_restart.restart(layout, Progress(), rolling_restart.replicas(layout))
