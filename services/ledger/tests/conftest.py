"""Fixtures of the ledger's tests; engines and databases come from common.testing, events from `builders`."""

import pytest

from .builders import Events


@pytest.fixture
def events() -> Events:
    return Events()
