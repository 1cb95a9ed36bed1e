"""Nothing that comes in ends in a bug: see common.testing.hostile."""

import pytest

from common.testing import Served
from common.testing.hostile_tests import *  # noqa: F403


@pytest.fixture
def served(fraud: Served) -> Served:
    return fraud
