"""The database roles of services: what they are set to, and in which ways a role may do more than that.

A service's role has its schema's name; the role that owns the schema has OWNER after it. See common.bootstrap.
"""

from collections.abc import Collection, Mapping

import asyncpg

from common.services import OWNER

# A role's share of the fleet's connection budget: its replicas' pools during a rolling update.
CONNECTIONS_MAX = 24
# Every server has these, and PostgreSQL lets every role connect to them and make temporary tables there.
MAINTENANCE_DATABASES = ("postgres", "template1")
# On the roles rather than on connections, so that transaction poolers, which share sessions, do not matter.
_SETTINGS = {
    # Statements are prepared once for each connection and planned once: planning at each execution took as long as
    # executing, for foreign keys' own probes several times as long.
    "plan_cache_mode": "force_generic_plan",
    # The price of that would be plans from a table's first, empty minutes. Statements probe indexes, so there is
    # nothing to choose: where an index fits, reading the whole table is never right.
    "enable_seqscan": "off",
    "jit": "off",
    "timezone": "UTC",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "statement_timeout": "30s",
}
# Building an index takes as long as it takes.
_OWNER_SETTINGS = _SETTINGS | {"statement_timeout": "0", "idle_in_transaction_session_timeout": "60s"}
_DATABASES_WITH_SETTINGS = """
select d.datname from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
where s.setrole = (select oid from pg_roles where rolname = $1) order by 1
"""
_OPEN_MAINTENANCE_DATABASES = """
select datname from pg_database
where datname = any($1::text[])
  and pg_has_role(datdba, 'usage')
  and (has_database_privilege('public', oid, 'connect') or has_database_privilege('public', oid, 'temporary'))
order by 1
"""
_POWERFUL = """
select rolname, array_remove(array[
    case when rolsuper then 'superuser' end, case when rolcreaterole then 'createrole' end,
    case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end,
    case when rolbypassrls then 'bypassrls' end
], null) as attributes
from pg_roles
where rolname = any($1::text[]) and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
order by 1
"""
_MEMBERSHIPS = """
select m.rolname, r.rolname from pg_auth_members a
join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid where m.rolname = any($1::text[]) order by 1, 2
"""
# A superuser may do everything and is named as one.
_DATABASE_RIGHTS = """
select r.rolname, d.datname, d.datname <> $2 and d.datallowconn and has_database_privilege(r.oid, d.oid, 'connect'),
    d.datallowconn and has_database_privilege(r.oid, d.oid, 'temporary')
from pg_roles r, pg_database d where r.rolname = any($1::text[]) and not r.rolsuper order by 1, 2
"""
_ROLE_SETTINGS = """
select r.rolname, d.datname, s.setconfig from pg_db_role_setting s
join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase
where r.rolname = any($1::text[])
"""


async def make_roles(admin: asyncpg.Connection, passwords: Mapping[str, str]) -> None:
    """Create the roles, or set them to what they should be."""
    async with admin.transaction():
        if await admin.fetchval("select rolsuper from pg_roles where rolname = current_user"):
            # The server would log statements with passwords in them; only a superuser may ask it not to.
            await admin.execute("set local log_statement = 'none'; set local log_min_duration_statement = -1")
            await admin.execute("set local log_min_error_statement = 'panic'")
        for role, password in sorted(passwords.items()):
            exists = await admin.fetchval("select exists (select from pg_roles where rolname = $1)", role)
            verb = "alter" if exists else "create"
            secret = await admin.fetchval("select quote_literal($1)", password)
            await admin.execute(
                f"{verb} role {quoted(role)} with login nocreatedb nocreaterole"
                f" connection limit {CONNECTIONS_MAX} valid until 'infinity' password {secret}"
            )
            await _set_settings(admin, role)


async def _set_settings(admin: asyncpg.Connection, role: str) -> None:
    """Give *role* its settings and no others: PostgreSQL lets every role change its own."""
    for (database_name,) in await admin.fetch(_DATABASES_WITH_SETTINGS, role):
        await admin.execute(f"alter role {quoted(role)} in database {quoted(database_name)} reset all")
    await admin.execute(f"alter role {quoted(role)} reset all")
    path = f"{quoted(role.removesuffix(OWNER))}, pg_temp"
    await admin.execute(f"alter role {quoted(role)} set search_path = {path}")
    for setting, value in _settings(role).items():
        await admin.execute(f"alter role {quoted(role)} set {setting} = '{value}'")


def _settings(role: str) -> Mapping[str, str]:
    return _OWNER_SETTINGS if role.endswith(OWNER) else _SETTINGS


async def close_maintenance_databases(admin: asyncpg.Connection) -> None:
    """Take from everybody without rights of their own what the server's own databases give to all roles.

    On a managed server they belong to the provider and stay as they are: `role_problems` names what is open then.
    """
    for (name,) in await admin.fetch(_OPEN_MAINTENANCE_DATABASES, MAINTENANCE_DATABASES):
        await admin.execute(f"revoke connect, temporary on database {quoted(name)} from public")


async def role_problems(admin: asyncpg.Connection, database_name: str, roles: Collection[str]) -> list[str]:
    """In which ways *roles* may do more than `database` allows them, or have other settings; empty when in none."""
    problems = []
    for role, attributes in await admin.fetch(_POWERFUL, list(roles)):
        problems.append(f"{role} is {', '.join(attributes)}")
    for role, other in await admin.fetch(_MEMBERSHIPS, list(roles)):
        problems.append(f"{role} is a member of {other}")
    for role, name, may_connect, may_make_tables in await admin.fetch(_DATABASE_RIGHTS, list(roles), database_name):
        if may_connect:
            problems.append(f"{role} may connect to {name}")
        if may_make_tables:
            problems.append(f"{role} may make temporary tables in {name}")
    found: dict[str, dict[str, str]] = {role: {} for role in roles}
    for role, name, settings in await admin.fetch(_ROLE_SETTINGS, list(roles)):
        place = f" in {name}" if name else ""
        for setting, _, value in (text.partition("=") for text in settings):
            found[role][setting.lower() + place] = value
    for role, settings in found.items():
        expected = {**_settings(role), "search_path": f"{role.removesuffix(OWNER)}, pg_temp"}
        differing = sorted({setting for setting, _ in settings.items() ^ expected.items()})
        if differing:
            problems.append(f"{role} has other settings: {', '.join(differing)}")
    return problems


def quoted(name: str) -> str:
    """*name* as an identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'
