"""Every service's database role × every schema, table and verb; and what a role may not do at all, tried.

Roles, schemas and tables are those of the running fleet: a new one is in here by itself.
"""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from common.database_urls import database_url
from common.services import OWNER, SCHEMAS
from ops import credentials as stack_credentials
from ops import journey
from ops.credentials import Credentials
from ops.fleet_client import FleetClient
from ops.ports import Layout

VERBS = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
# What the role of a schema may do with a table of its own: `common.migrations` grants it.
USUAL = {"select", "insert", "update", "delete"}
APPEND_ONLY = {"select", "insert"}

_RIGHTS = """
select r.rolname as role, n.nspname as schema, c.relname as table, c.relispartition as is_partition,
       exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'append_only') as is_append_only,
       array(select verb from unnest(cast($2 as text[])) verb
             where case when verb = any('{select,insert,update,references}'::text[])
                        then has_any_column_privilege(r.rolname, c.oid, verb)
                        else has_table_privilege(r.rolname, c.oid, verb) end) as verbs
from pg_roles r, pg_class c join pg_namespace n on n.oid = c.relnamespace
where r.rolname = any($1) and n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
_SCHEMAS = """
select r.rolname as role, n.nspname as schema, has_schema_privilege(r.rolname, n.oid, 'usage') as may_use,
       has_schema_privilege(r.rolname, n.oid, 'create') as may_create
from pg_roles r, pg_namespace n where r.rolname = any($1) and (n.nspname = any($1) or n.nspname = 'public')
"""
_ROLES = """
select rolname as role, rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as is_powerful,
       array(select g.rolname from pg_roles g
             where g.rolname <> r.rolname and pg_has_role(r.oid, g.oid, 'member')) as groups,
       has_database_privilege(oid, current_database(), 'create') as may_create,
       has_database_privilege(oid, current_database(), 'temporary') as may_make_temporary
from pg_roles r where rolname = any($1)
"""
_FUNCTIONS = """
select r.rolname || ' ' || n.nspname || '.' || p.proname
from pg_roles r, pg_proc p join pg_namespace n on n.oid = p.pronamespace
where r.rolname = any($1) and n.nspname = any($1) and n.nspname <> r.rolname
  and has_function_privilege(r.rolname, p.oid, 'execute') and has_schema_privilege(r.rolname, n.oid, 'usage')
"""

# Their owner deletes what newer ones replace.
DELETED_BY_OWNER = {"ledger.balance_snapshots", "ledger.journal_snapshots"}

# {own} is the role's schema, {other} another's.
REFUSED = {
    "ddl": (
        "create table {own}.mine (a int)",
        "create table public.mine (a int)",
        "create temporary table mine (a int)",
        "create schema mine",
        "create extension dblink",
        "create function {own}.mine() returns int language sql as 'select 1'",
        "create view {own}.mine as select 1",
        "create event trigger mine on ddl_command_start execute function refuse_change()",
        "alter table {own}.outbox add column more int",
        "alter schema {own} rename to mine",
        "drop table {own}.inbox",
        "drop schema {own} cascade",
        "truncate {own}.outbox",
        "update {own}.alembic_version set version_num = 'x'",
    ),
    "other schemas": (
        "select * from {other}.outbox",
        "insert into {other}.outbox default values",
        "update {other}.outbox set body = ''",
        "delete from {other}.inbox",
        "select {other}.ensure_partitions()",
        "lock table {other}.outbox",
        "set role {other}",
        "set role {other}_owner",
        "set session authorization {other}",
    ),
    "triggers": (
        "alter table {own}.outbox disable trigger all",
        "set session_replication_role = replica",
        "create trigger mine before insert on {own}.outbox for each row execute function refuse_change()",
        "create rule mine as on insert to {own}.outbox do instead nothing",
    ),
    "roles": (
        "create role mine",
        "set role {own}_owner",
        "grant {own}_owner to {own}",
        "alter role {own} superuser",
        "alter role {other} password 'x'",
        "alter database {database} set log_statement = 'all'",
        "set log_statement = 'all'",
        "reassign owned by {own}_owner to {own}",
    ),
    "files": (
        "copy (select 1) to '/tmp/mine'",
        "copy {own}.outbox from '/etc/passwd'",
        "copy (select 1) to program 'true'",
        "select pg_read_file('/etc/passwd')",
        "select pg_ls_dir('.')",
        "select lo_import('/etc/passwd')",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres' limit 1",
        "select * from pg_authid",
        "select pg_reload_conf()",
    ),
}


@pytest.fixture
async def credentials(layout: Layout) -> Credentials:
    return await asyncio.to_thread(stack_credentials.load_or_generate, layout.run_dir / "secrets.json")


def url_of(fleet: FleetClient, role: str = "", password: str = "") -> str:
    """The superuser's, without a role."""
    postgresql = fleet.description["postgresql"]
    return database_url(postgresql["superuser_url"], postgresql["database"], *((role, password) if role else ()))


@pytest.fixture
async def superuser(fleet: FleetClient) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url_of(fleet))
    yield connection
    await connection.close()


async def test_a_role_has_the_rights_of_its_schema_and_no_others(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(_RIGHTS, list(SCHEMAS), list(VERBS))
    assert len(rows) > len(SCHEMAS) ** 2 * 6
    assert {row["table"] for row in rows if row["is_append_only"]} >= {"journals", "ledger_entries", "audit_logs"}
    wrong = []
    for row in rows:
        usual = APPEND_ONLY if row["is_append_only"] else USUAL
        if row["table"] == "alembic_version":
            usual = {"select"}
        allowed = usual if row["role"] == row["schema"] and not row["is_partition"] else set()
        if {*row["verbs"]} != allowed:
            wrong.append((row["role"], f"{row['schema']}.{row['table']}", row["verbs"]))
    assert wrong == []


async def test_a_role_uses_its_schema_and_makes_nothing(superuser: asyncpg.Connection) -> None:
    schemas = await superuser.fetch(_SCHEMAS, list(SCHEMAS))
    assert {(row["role"], row["schema"]) for row in schemas if row["may_use"]} == {(each, each) for each in SCHEMAS}
    assert [row for row in schemas if row["may_create"]] == []
    roles = await superuser.fetch(_ROLES, list(SCHEMAS))
    assert {row["role"] for row in roles} == {*SCHEMAS}
    for row in roles:
        assert not row["is_powerful"] and not row["groups"], row
        assert not row["may_create"] and not row["may_make_temporary"], row
    assert await superuser.fetch(_FUNCTIONS, list(SCHEMAS)) == []


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_role_is_refused(fleet: FleetClient, credentials: Credentials, kind: str) -> None:
    """Every role, each statement in a transaction of its own that is rolled back."""
    done = []
    for own in SCHEMAS:
        names = {"own": own, "other": next(each for each in SCHEMAS if each != own)}
        names["database"] = fleet.description["postgresql"]["database"]
        connection = await asyncpg.connect(url_of(fleet, own, credentials.database[own]))
        try:
            for statement in REFUSED[kind]:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    await connection.execute(statement.format(**names))
                except asyncpg.InsufficientPrivilegeError:
                    continue
                except asyncpg.PostgresError as error:
                    done.append((own, statement, repr(error)))
                else:
                    done.append((own, statement, "done"))
                finally:
                    await transaction.rollback()
        finally:
            await connection.close()
    assert done == []


@pytest.mark.parametrize("change", ["update {0} set {1} = {1}", "delete from {0}", "truncate {0} cascade"])
async def test_not_even_its_owner_changes_an_append_only_table(
    fleet: FleetClient, credentials: Credentials, superuser: asyncpg.Connection, change: str
) -> None:
    member = await journey.sign_up(fleet)
    created = await journey.create(fleet, member, pack_id="pack_500")
    await journey.pay(fleet, created["orderId"], method="upi", outcome="success")
    await journey.until_success(fleet, member, created["paymentId"])
    tables = await superuser.fetch(
        """
        select n.nspname as schema, c.relname as table, a.attname as column
        from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum = 1
        where t.tgname = 'append_only' and not c.relispartition order by 1, 2
        """
    )
    filled, changed, refusals = 0, set(), []
    for schema, table, column in tables:
        if not await superuser.fetchval(f"select exists (select from {schema}.{table})"):
            continue
        filled += 1
        owner = schema + OWNER
        connection = await asyncpg.connect(url_of(fleet, owner, credentials.database[owner]))
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(change.format(f"{schema}.{table}", column))
        except asyncpg.InsufficientPrivilegeError as error:
            refusals.append(str(error))
        else:
            changed.add(f"{schema}.{table}")
        finally:
            await transaction.rollback()
            await connection.close()
    assert filled >= 5
    assert changed <= (DELETED_BY_OWNER if change.startswith("delete") else set())
    assert all("append-only" in each for each in refusals)
