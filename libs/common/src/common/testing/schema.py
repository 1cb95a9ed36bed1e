"""Whether SQLAlchemy Core metadata describes what the migrations made: exactly, by the catalogues.

`alembic.compare_metadata` leaves out CHECKs, collations, predicates of partial indexes and generated expressions.
Here PostgreSQL itself makes the metadata's tables, in a scratch schema of a transaction that is rolled back, and the
catalogues of both schemas are compared. Not covered: functions, triggers, views, rights and compression.

    async def test_the_tables_are_those_of_the_migrations(superuser_url):
        await schema.assert_matches(tables.metadata, superuser_url, "wallet")
"""

from collections import Counter

import asyncpg
from sqlalchemy import MetaData, create_mock_engine
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.schema import ExecutableDDLElement

from common import tables

SCRATCH = "scratch_of_the_metadata"

_FROM_TABLES = """
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'alembic_version'
"""
_TABLES = f"""
select c.relname,
       concat_ws(' ', 'is a table', 'persistence ' || c.relpersistence::text, pg_get_partkeydef(c.oid),
                 (select 'with ' || string_agg(option, ', ' order by option) from unnest(c.reloptions) as option))
{_FROM_TABLES}
"""
_COLUMNS = f"""
select c.relname,
       concat_ws(' ', 'column', a.attname, format_type(a.atttypid, a.atttypmod),
                 case when a.attcollation <> t.typcollation then 'collate ' || o.collname end,
                 case when a.attnotnull then 'not null' end,
                 case when a.attgenerated <> '' then 'generated ' || a.attgenerated::text end,
                 case when a.attidentity <> '' then 'identity ' || a.attidentity::text end,
                 'default ' || pg_get_expr(d.adbin, d.adrelid))
from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_collation o on o.oid = a.attcollation
     left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     join (select c.oid, c.relname {_FROM_TABLES}) c on c.oid = a.attrelid
where a.attnum > 0 and not a.attisdropped
"""
# Without names: they are PostgreSQL's own where nobody gave one. NOT NULL is said of the column.
_CONSTRAINTS = f"""
select c.relname, 'constraint ' || pg_get_constraintdef(k.oid)
from pg_constraint k join (select c.oid, c.relname {_FROM_TABLES}) c on c.oid = k.conrelid
where k.contype not in ('n', 't')
"""
# The indexes of primary keys, uniques and exclusions are said by their constraints.
_INDEXES = f"""
select c.relname, replace(pg_get_indexdef(i.indexrelid), ' ' || quote_ident($1) || '.', ' ')
from pg_index i join (select c.oid, c.relname {_FROM_TABLES}) c on c.oid = i.indrelid
where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
"""


async def assert_matches(metadata: MetaData, superuser_url: str, schema: str) -> None:
    """Fail with every difference between *metadata*, common's tables included, and the migrated *schema*."""
    lines = await differences(metadata, superuser_url, schema)
    assert not lines, "\n".join([f"the metadata and the migrations of {schema} differ:", *lines])


async def differences(metadata: MetaData, superuser_url: str, schema: str) -> list[str]:
    """What only one of the two has, a line each; nothing is left behind in the database."""
    connection = await asyncpg.connect(superuser_url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(f'create schema "{SCRATCH}"')
            # Functions that the tables use are the migrations'.
            await connection.execute(f'set local search_path = "{SCRATCH}", "{schema}"')
            for statement in _statements(metadata):
                await connection.execute(statement)
            described = await _catalogue(connection, SCRATCH, f'"{SCRATCH}", "{schema}"')
            migrated = await _catalogue(connection, schema, f'"{schema}"')
        finally:
            await transaction.rollback()
    finally:
        await connection.close()
    lines = [f"  {line} (only the metadata says so)" for line in (described - migrated).elements()]
    lines += [f"  {line} (only the migrations say so)" for line in (migrated - described).elements()]
    return sorted(lines)


def _statements(metadata: MetaData) -> list[str]:
    """The DDL of *metadata* and of common's tables where it leaves those out, as the migrations' dialect spells it."""
    collected: list[str] = []

    def collect(statement: ExecutableDDLElement, *_: object, **__: object) -> None:
        collected.append(str(statement.compile(dialect=engine.dialect)))

    engine: MockConnection = create_mock_engine("postgresql+asyncpg://", collect)
    metadata.create_all(engine, checkfirst=False)
    absent = [table for table in tables.metadata.sorted_tables if table.name not in metadata.tables]
    tables.metadata.create_all(engine, tables=absent, checkfirst=False)
    return collected


async def _catalogue(connection: asyncpg.Connection, schema: str, search_path: str) -> Counter[str]:
    """What the catalogues say of *schema*, written as it is seen from inside it."""
    await connection.execute(f"set local search_path = {search_path}")
    lines: Counter[str] = Counter()
    for query in (_TABLES, _COLUMNS, _CONSTRAINTS, _INDEXES):
        lines.update(f"{table}: {definition}" for table, definition in await connection.fetch(query, schema))
    return lines
