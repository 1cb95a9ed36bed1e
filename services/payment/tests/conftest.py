"""Builders: a payment, an attempt, an order, with only what a test is about said."""

import pytest

from .builders import Builders


@pytest.fixture(scope="session")
def build() -> type[Builders]:
    return Builders
