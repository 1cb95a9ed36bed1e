"""The tables as the code describes them are the tables that the migrations make."""

from common.testing import schema
from payment.store import tables


async def test_the_tables_are_those_of_the_migrations(superuser_url: str) -> None:
    await schema.assert_matches(tables.metadata, superuser_url, "payment")
