import pytest


@pytest.fixture
def service_name() -> str:
    """The operator's tool has no tables; it borrows the rights of a service and uses nothing but common's."""
    return "payment"


@pytest.fixture
def migrations_package() -> None:
    return None
