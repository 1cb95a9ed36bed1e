"""The one Alembic environment of the fleet: `common.migrations` passes it an open connection and the schema.

The caller owns the transaction, so that the migrations, the grants and the partitions that follow commit together
under one advisory lock.
"""

from typing import Any

from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl


class PlainSql(PostgresqlImpl):
    """Lets `op.execute` take a whole script as it is: the simple protocol knows many statements and no parameters."""

    __dialect__ = "postgresql"

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        if not isinstance(sql, str):
            return super().execute(sql, execution_options)
        assert self.connection is not None
        adapted: Any = self.connection.connection.dbapi_connection
        adapted.run_async(lambda connection: connection.execute(sql))
        return None


context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=context.config.attributes["schema"],
    transaction_per_migration=False,
)
context.run_migrations()
