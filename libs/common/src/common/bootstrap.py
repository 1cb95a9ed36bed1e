"""Makes what only an administrator may make: database, roles, schemas; vhost, broker users and their rights.

    python -m common.bootstrap --database-url "$DATABASE_ADMINISTRATOR_URL" --database commdesk \\
        --management-url "$BROKER_ADMINISTRATOR_URL" --vhost commdesk --secrets secrets.json

Which services there are is read from protos/services.toml, what a broker user may do from the contract. It may be run
again at any time: it adds what is missing, sets passwords, settings and rights to what they should be, and deletes no
data. It comes before `<service> migrate`, also when the retry schedule changes.
"""

import argparse
import asyncio
import base64
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp
import asyncpg
import msgspec

from common import database_roles
from common.database_roles import quoted
from common.database_urls import connect_arguments, database_url, is_pooler
from common.services import OWNER, SCHEMAS
from common.settings import RETRY_SCHEDULE_MS
from common.topology import MIGRATOR, is_retry_tier, retry_queues, rights, topic_rights, users

# pg_advisory_lock key: two bootstraps would collide in their changes to the shared catalogues.
_TURN = 0x636F6D6D6465736B


class Secrets(msgspec.Struct, frozen=True):
    """Passwords by name: database roles (`wallet`, `wallet_owner`) and broker users (`webhook-ingest`, `migrator`)."""

    database: Mapping[str, str]
    broker: Mapping[str, str]


async def database(url: str, name: str, passwords: Mapping[str, str]) -> None:
    """Make the database *name* with two roles and a schema for every service in *passwords*.

    *url* is an administrator's, to any database of the server, and direct: a transaction pooler would keep the lock
    that is taken here after we are gone. Raises ValueError for a pooler's, and for a role without its owner.
    """
    if is_pooler(url):
        raise ValueError(
            "bootstrap needs the direct URL of the database, not a pooler's: it holds a lock of its session"
        )
    services = services_of(passwords)
    admin = await asyncpg.connect(**connect_arguments(url))
    try:
        await admin.execute("select pg_advisory_lock($1)", _TURN)
        await database_roles.make_roles(admin, passwords)
        if not await admin.fetchval("select exists (select from pg_database where datname = $1)", name):
            await admin.execute(f"create database {quoted(name)}")
        await database_roles.close_maintenance_databases(admin)
        await make_schemas(database_url(url, name), services)
    finally:
        await admin.close()


def services_of(passwords: Mapping[str, str]) -> list[str]:
    """The schemas that the roles belong to."""
    services = sorted(role.removesuffix(OWNER) for role in passwords if role.endswith(OWNER))
    if sorted([*services, *(service + OWNER for service in services)]) != sorted(passwords):
        raise ValueError(f"every service needs two database roles, <service> and <service>{OWNER}")
    return services


async def make_schemas(url: str, services: Collection[str]) -> None:
    """In the database at *url*: a schema for each service, owned by its owner, and nothing for anybody else."""
    admin = await asyncpg.connect(**connect_arguments(url))
    try:
        async with admin.transaction():
            name = quoted(await admin.fetchval("select current_database()"))
            await admin.execute(f"revoke all on database {name} from public")
            await admin.execute("revoke all on schema public from public")
            for service in sorted(services):
                role, owner = quoted(service), quoted(service + OWNER)
                if not await admin.fetchval("select pg_has_role($1, 'usage')", service + OWNER):
                    # An administrator who is no superuser must be a member to give the schema away.
                    await admin.execute(f"grant {owner} to current_user")
                await admin.execute(f"create schema if not exists {role} authorization {owner}")
                await admin.execute(f"revoke all on schema {role} from public")
                await admin.execute(f"grant usage on schema {role} to {role}")
                await admin.execute(f"revoke all on database {name} from {role}, {owner}")
                await admin.execute(f"grant connect on database {name} to {role}, {owner}")
    finally:
        await admin.close()


async def broker(
    management_url: str, vhost: str, passwords: Mapping[str, str], retry_schedule_ms: Sequence[int] = RETRY_SCHEDULE_MS
) -> None:
    """Make the vhost, and a user for each name in *passwords* with the rights that the contract gives it."""
    async with management(management_url) as api:
        await api.put(f"/api/vhosts/{quote(vhost, safe='')}", json={})
        tier_names = await tiers(api, vhost, retry_schedule_ms)
        for user, password in sorted(passwords.items()):
            await api.put(f"/api/users/{quote(user, safe='')}", json={"password": password, "tags": ""})
            await grant(api, vhost, user, tier_names)


async def grant(api: aiohttp.ClientSession, vhost: str, user: str, tier_names: Collection[str]) -> None:
    """Give *user*, who exists, its rights in *vhost*, whose `tiers` are *tier_names*."""
    place, name = quote(vhost, safe=""), quote(user, safe="")
    # Keys before exchanges: an exchange that may be written and has no row would take every key.
    for exchange, patterns in topic_rights(user, tier_names).items():
        await api.put(f"/api/topic-permissions/{place}/{name}", json={"exchange": exchange, **patterns})
    await api.put(f"/api/permissions/{place}/{name}", json=rights(user, tier_names))


async def tiers(api: aiohttp.ClientSession, vhost: str, retry_schedule_ms: Sequence[int]) -> list[str]:
    """The retry tiers of the schedule, and those of earlier ones, for which something may still lie in an outbox."""
    declared = await (await api.get(f"/api/exchanges/{quote(vhost, safe='')}")).json()
    earlier = {each["name"] for each in declared if each["type"] == "topic" and is_retry_tier(each["name"])}
    return sorted(earlier.union(*map(retry_queues, retry_schedule_ms)))


def management(url: str) -> aiohttp.ClientSession:
    """RabbitMQ's management API, logged in with what is in *url*; every answer but 2xx and 3xx raises."""
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return aiohttp.ClientSession(
        base_url=urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/", "", "")),
        headers={"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"},
        timeout=aiohttp.ClientTimeout(total=30),
        raise_for_status=True,
    )


async def _run(arguments: argparse.Namespace, secrets: Secrets) -> None:
    if arguments.database_url:
        roles = [role for schema in arguments.schemas or SCHEMAS for role in (schema, schema + OWNER)]
        await database(arguments.database_url, arguments.database, _listed(secrets.database, roles))
    if arguments.management_url:
        passwords = _listed(secrets.broker, [MIGRATOR, *users()])
        await broker(arguments.management_url, arguments.vhost, passwords, arguments.retry_schedule_ms)


def _listed(passwords: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """The passwords of *names*. Ends the process when one is missing."""
    missing = [name for name in names if name not in passwords]
    if missing:
        sys.exit(f"the secrets lack a password for {', '.join(missing)}")
    return {name: passwords[name] for name in names}


def _known(schemas: Sequence[str]) -> Sequence[str]:
    """*schemas*, which are all the contract's. Raises ArgumentTypeError."""
    if unknown := sorted(set(schemas) - set(SCHEMAS)):
        raise argparse.ArgumentTypeError(f"there is no schema {', '.join(unknown)}")
    return schemas


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m common.bootstrap", description=__doc__)
    parser.add_argument("--database-url", help="of an administrator, any database of the server")
    parser.add_argument("--database", default="commdesk")
    parser.add_argument(
        "--schemas",
        default=(),
        type=lambda text: _known(text.split(",")),
        help="comma-separated: those that lie on this server, of a fleet with several; without it, all",
    )
    parser.add_argument("--management-url", help="of RabbitMQ, with an administrator's name and password")
    parser.add_argument("--vhost", default="commdesk")
    parser.add_argument(
        "--retry-schedule-ms",
        default=RETRY_SCHEDULE_MS,
        type=lambda text: tuple(int(part) for part in text.split(",")),
        help="as RETRY_SCHEDULE_MS of the services",
    )
    parser.add_argument("--secrets", required=True, help='JSON file, "-" for standard input')
    arguments = parser.parse_args()
    text = sys.stdin.read() if arguments.secrets == "-" else Path(arguments.secrets).read_text()
    asyncio.run(_run(arguments, msgspec.json.decode(text, type=Secrets)))


if __name__ == "__main__":
    main()
