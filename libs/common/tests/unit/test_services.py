import pytest

from common import services
from common.services import SCHEMAS, SERVICES

ROW = 'ports = {ports}\ndatabase = {database}\nnice = 0\nowns = "something"\n'


def listed(**rows: tuple[int, str]) -> str:
    return "\n".join(
        f"[{name}]\n{ROW.format(ports=ports, database=database)}" for name, (ports, database) in rows.items()
    )


def test_a_row_names_what_is_derived_from_it() -> None:
    row = services.load(f"[webhook-ingest]\n{ROW.format(ports=26, database='true')}")["webhook-ingest"]
    assert row.package == "webhook_ingest"
    assert (row.address_variable, row.url_variable) == ("WEBHOOK_INGEST_ADDRESS", "WEBHOOK_INGEST_URL")


def test_two_services_never_share_a_port() -> None:
    with pytest.raises(ValueError, match="a port twice"):
        services.load(listed(one=(20, "true"), other=(21, "true")))


def test_a_misspelt_column_is_refused() -> None:
    with pytest.raises(ValueError, match="databse"):
        services.load(f"[one]\n{ROW.format(ports=20, database='true')}databse = false\n")


def test_only_a_service_with_a_database_has_a_schema() -> None:
    assert set(SCHEMAS) == {row.package for row in SERVICES.values() if row.database}
