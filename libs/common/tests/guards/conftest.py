import pytest


@pytest.fixture
def service_name() -> str:
    """Common has no service of its own; it borrows the rights of one and uses nothing but common's tables."""
    return "payment"


@pytest.fixture
def migrations_package() -> None:
    return None
