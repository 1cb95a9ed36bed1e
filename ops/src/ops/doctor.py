"""Names what is wrong with a stack and how to repair it; `--fix` repairs what needs no decision."""

import asyncio
import importlib.util
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import aio_pika
import aiohttp
import asyncpg
import grpc.aio
import redis.asyncio
from msgspec import Struct

from commdesk.common.v1 import delivery_pb2
from commdesk.common.v1 import personal_data_pb2 as pb
from common import bootstrap, broker_urls, database_roles, migrations, redis_users, topology
from common.grpc_client import errors_from
from common.services import OWNER, SERVICES
from common.topology import CONTRACT, REQUEUE
from ops import invariants, rabbitmq
from ops.fleet_client import COUNT_SECONDS, FleetClient

SKEW_SECONDS_MAX = 5.0
# What looking at an engine raises that is away or refuses.
ENGINE_ERRORS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    aiohttp.ClientError,
    aio_pika.exceptions.AMQPError,
    aio_pika.exceptions.ChannelInvalidStateError,
)


class Finding(Struct, frozen=True):
    """One thing that was looked at. *fix* says what to do when it is not right."""

    what: str
    ok: bool
    detail: str = ""
    fix: str = ""


async def examine(fleet: FleetClient, *, fix: bool = False) -> list[Finding]:
    """Everything that can be wrong with a stack, checked in the order in which it is repaired."""
    findings: list[Finding] = []
    description = fleet.description
    for what, check in (
        ("PostgreSQL", _postgres(description)),
        ("RabbitMQ", _broker(description, fix)),
        ("Redis", _redis(description)),
        ("migrations", _migrations(fleet)),
        ("services", _services(fleet)),
        ("keys", _keys(fleet)),
        ("sealed data", _sealing(fleet)),
        ("unapplied receipts", _receipts(fleet)),
        ("clocks", _clocks(description)),
    ):
        findings += [finding async for finding in _as_far_as_possible(what, check)]
    return findings


async def _as_far_as_possible(what: str, check: AsyncIterator[Finding]) -> AsyncIterator[Finding]:
    """What *check* finds before an engine goes away under it, and that it could not look at everything."""
    try:
        async for finding in check:
            yield finding
    except ENGINE_ERRORS as error:
        yield _unseen(what, error)


async def _postgres(description: Mapping[str, Any]) -> AsyncIterator[Finding]:
    try:
        connection = await asyncpg.connect(description["postgresql"]["superuser_url"], timeout=3)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        yield Finding("PostgreSQL", False, type(error).__name__, "start it: `commdesk start postgresql`, or `make up`")
        return
    try:
        used = await connection.fetchval("select count(*) from pg_stat_activity where backend_type = 'client backend'")
        limit = int(await connection.fetchval("select current_setting('max_connections')"))
        yield Finding("PostgreSQL", True, f"{used} of {limit} connections")
        yield Finding(
            "connection budget", used < limit * 0.8, f"{used} of {limit}", "lower POOL_SIZE or raise max_connections"
        )
        skew = abs(time.time() - float(await connection.fetchval("select extract(epoch from clock_timestamp())")))
        yield _clock("clock of PostgreSQL", skew)
    finally:
        await connection.close()
    wrong = [problem async for problem in _role_problems(description["postgresql"])]
    cure = "`python -m common.bootstrap` sets them, or `make up`; of other databases: revoke it from public"
    yield Finding("rights at the database", not wrong, "; ".join(wrong[:20]), cure)


async def _role_problems(postgresql: Mapping[str, Any]) -> AsyncIterator[str]:
    """Of every instance, for the schemas that it holds."""
    schemas: dict[str, list[str]] = {}
    for schema, url in postgresql["schema_urls"].items():
        schemas.setdefault(url, []).append(schema)
    for url, held in schemas.items():
        connection = await asyncpg.connect(url, timeout=3)
        try:
            roles = [role for schema in held for role in (schema, schema + OWNER)]
            for problem in await database_roles.role_problems(connection, postgresql["database"], roles):
                yield problem
        finally:
            await connection.close()


async def _broker(description: Mapping[str, Any], fix: bool) -> AsyncIterator[Finding]:
    try:
        connection = await broker_urls.connect(description["rabbitmq"]["url"], timeout_seconds=3)
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
        yield Finding("RabbitMQ", False, type(error).__name__, "start it: `commdesk start rabbitmq`, or `make up`")
        return
    async with connection:
        yield Finding("RabbitMQ", True)
        if fix:
            try:
                await topology.declare(await connection.channel(), description["retry_schedule_ms"])
            except aio_pika.exceptions.ChannelPreconditionFailed as error:
                yield Finding("topology", False, str(error), "an earlier release declared it: `<service> migrate`")
                return
        yield await _queues_and_bindings(connection, description)
    yield await _rights(description)
    yield Finding(
        "user-id of messages",
        description["rabbitmq"]["user_ids"],
        "" if description["rabbitmq"]["user_ids"] else "AMQP_USER_ID is off: every service can forge every event",
        "only for a broker plan with one user; otherwise leave AMQP_USER_ID on and restart all services",
    )
    yield await _retries(description)


async def _queues_and_bindings(connection: aio_pika.abc.AbstractConnection, description: Mapping[str, Any]) -> Finding:
    what = "queues and bindings"
    try:
        missing = [name async for name in _missing_queues(connection, description)]
        bindings = [] if missing else [name async for name in _missing_bindings(description)]
    except ENGINE_ERRORS as error:
        return _unseen(what, error)
    detail = ", ".join(missing + bindings)
    return Finding(what, not detail, detail, "`commdesk doctor --fix` declares what is missing")


async def _rights(description: Mapping[str, Any]) -> Finding:
    what = "rights at the broker"
    try:
        wrong = ", ".join([user async for user in _wrong_rights(description)])
    except ENGINE_ERRORS as error:
        return _unseen(what, error)
    return Finding(what, not wrong, wrong, "`python -m common.bootstrap` sets them, or `make up`")


async def _retries(description: Mapping[str, Any]) -> Finding:
    """What has left a retry tier arrives within milliseconds, unless its queue is away or full.

    The broker's counters keep what was deleted with its queue, so inboxes must miss something as well.
    """
    what, looks = "retries on their way home", []
    try:
        for _ in range(2):
            looks.append(await rabbitmq.dead_letters_in_flight(description["rabbitmq"]["metrics_url"]))
            if not looks[-1]:
                break
            await asyncio.sleep(1)
        stuck = min(looks) if all(looks) and await invariants.undelivered(description) else 0
    except ENGINE_ERRORS as error:
        return _unseen(what, error)
    fix = "a queue that they go home to is missing or full: `commdesk doctor --fix`; they arrive within 20 s then"
    return Finding(what, not stuck, f"{stuck} messages" if stuck else "", fix)


def _unseen(what: str, error: Exception) -> Finding:
    """What could not be looked at is not right either."""
    return Finding(what, False, f"not looked at: {type(error).__name__}", "repair PostgreSQL and RabbitMQ first")


async def _wrong_rights(description: Mapping[str, Any]) -> AsyncIterator[str]:
    """Users whose rights or keys are not what the contract says."""
    broker = description["rabbitmq"]
    async with bootstrap.management(broker["management_url"]) as api:
        place = quote(broker["vhost"], safe="")
        tiers = await bootstrap.tiers(api, broker["vhost"], description["retry_schedule_ms"])
        rows = await (await api.get(f"/api/vhosts/{place}/permissions")).json()
        topic_rows = await (await api.get(f"/api/vhosts/{place}/topic-permissions")).json()
    given = {row["user"]: {right: row[right] for right in ("configure", "write", "read")} for row in rows}
    keys = {(row["user"], row["exchange"]): {right: row[right] for right in ("write", "read")} for row in topic_rows}
    for user in topology.users():
        expected = topology.topic_rights(user, tiers)
        if given.get(user) != topology.rights(user, tiers) or any(
            keys.get((user, exchange)) != patterns for exchange, patterns in expected.items()
        ):
            yield user


async def _missing_queues(
    connection: aio_pika.abc.AbstractConnection, description: Mapping[str, Any]
) -> AsyncIterator[str]:
    tiers = [name for ttl_ms in description["retry_schedule_ms"] for name in topology.retry_queues(ttl_ms)]
    for names in (*((queue.name, queue.dead_letters) for queue in CONTRACT.queues), tiers):
        for name in names:
            # A failed look closes its channel, so each has its own.
            channel = await connection.channel()
            try:
                await channel.declare_queue(name, passive=True)
                await channel.close()
            except aio_pika.exceptions.ChannelNotFoundEntity:
                yield f"queue {name}"


async def _missing_bindings(description: Mapping[str, Any]) -> AsyncIterator[str]:
    vhost = description["rabbitmq"]["vhost"]
    url = f"{description['rabbitmq']['management_url']}/api/bindings/{vhost}"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        declared = {(row["source"], row["routing_key"], row["destination"]) for row in await response.json()}
    for queue in CONTRACT.queues:
        homes = ((REQUEUE, queue.name, queue.name), (REQUEUE, queue.dead_letters, queue.dead_letters))
        for exchange, key, name in (*((exchange, key, queue.name) for exchange, key in queue.bindings), *homes):
            if (exchange, key, name) not in declared:
                yield f"binding {exchange} {key} → {name}"


async def _redis(description: Mapping[str, Any]) -> AsyncIterator[Finding]:
    client = redis.asyncio.Redis.from_url(description["redis"]["url"], socket_connect_timeout=2, socket_timeout=2)
    try:
        await client.ping()
        yield Finding("Redis", True)
        async for finding in _redis_users(client):
            yield finding
    except (OSError, TimeoutError, redis.RedisError) as error:
        fix = "start it: `commdesk start redis`; the fleet works without it, slower"
        yield Finding("Redis", False, type(error).__name__, fix)
    finally:
        await client.aclose()


async def _redis_users(client: redis.asyncio.Redis) -> AsyncIterator[Finding]:
    """Each service has a user limited to the service's own keys, and the default user is off."""
    fix = "give Redis the users of `python -m common.redis_users`; in a local stack: `commdesk restart redis`"
    allowed = {f"+{command}" for command in redis_users.COMMANDS}
    wrong = []
    # redis-py types the answer of every administrative command alike.
    default: Any = await client.acl_getuser("default")
    if default and "off" not in default["flags"]:
        wrong.append("default is on")
    for name, service in SERVICES.items():
        user: Any = await client.acl_getuser(name)
        if user is None:
            wrong.append(f"{name} is missing")
        elif set(user["keys"]) != {f"~{pattern}" for pattern in service.redis_keys}:
            wrong.append(f"{name} has keys {' '.join(sorted(user['keys']))}")
        elif set(user["commands"]) != allowed or user["categories"] != ["-@all"]:
            wrong.append(f"{name} has other commands")
    yield Finding("Redis users", not wrong, "; ".join(wrong), fix if wrong else "")


async def _migrations(fleet: FleetClient) -> AsyncIterator[Finding]:
    for service, row in SERVICES.items():
        if not row.database or importlib.util.find_spec(row.package) is None:
            continue
        schema = row.package
        url = fleet.description["postgresql"]["schema_urls"][schema]
        try:
            missing = await migrations.pending(schema, url, schema)
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            yield Finding(f"migrations of {service}", False, type(error).__name__, "repair PostgreSQL first")
            continue
        yield Finding(f"migrations of {service}", not missing, ", ".join(missing), f"`{service} migrate`, or `make up`")


async def _services(fleet: FleetClient) -> AsyncIterator[Finding]:
    timeout = aiohttp.ClientTimeout(total=3)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        for name, addresses in fleet.replicas().items():
            url = addresses["http"] + "/health/ready"
            try:
                async with http.get(url) as response:
                    ok, detail = response.status == 200, "" if response.status == 200 else (await response.text())[:200]
            except (aiohttp.ClientError, TimeoutError) as error:
                ok, detail = False, type(error).__name__
            yield Finding(name, ok, detail, f"read `commdesk logs {name}`, then `commdesk restart {name}`")


async def _keys(fleet: FleetClient) -> AsyncIterator[Finding]:
    """A call that the operator may make: refused means that keys do not match. Backlogs show along the way."""
    for service in fleet.services:
        try:
            backlog = await fleet.delivery(service).Backlog(delivery_pb2.BacklogRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            refused = error.code() is grpc.StatusCode.UNAUTHENTICATED
            fix = "SERVICE_PRIVATE_KEY and SERVICE_PUBLIC_KEYS do not belong together: `make down up` renders them anew"
            yield Finding(
                f"keys of {service}", False, str(errors_from(error)), fix if refused else "repair the service first"
            )
            continue
        parked = f"{backlog.outbox_refused} rows" if backlog.outbox_refused else ""
        cure = "the broker closes the channel for them: set the rights right; they are tried again every ten minutes"
        yield Finding(f"announcements of {service} that the broker refuses", not parked, parked, cure)
        detail = f"{backlog.dead_letters_open} open" if backlog.dead_letters_open else ""
        yield Finding(f"dead letters of {service}", not detail, detail, "`commdesk dlq list`")


async def _sealing(fleet: FleetClient) -> AsyncIterator[Finding]:
    """What is not sealed, and which of the keys that services hold nothing needs any more."""
    uses: dict[str, set[str]] = {}
    held: dict[str, list[str]] = {}
    unsealed = []
    for service in fleet.services:
        try:
            answer = await fleet.personal_data(service).ListKeyUses(pb.ListKeyUsesRequest(), timeout=COUNT_SECONDS)
        except grpc.aio.AioRpcError as error:
            yield Finding(f"sealed data of {service}", False, str(errors_from(error)), "repair the service first")
            continue
        held[service] = list(answer.key_ids)
        for use in answer.uses:
            if use.key_id:
                uses.setdefault(use.key_id, set()).add(f"{service}.{use.table}.{use.column}")
            else:
                unsealed.append(f"{service}.{use.table}.{use.column}: {use.count}")
    yield Finding("personal data is sealed", not unsealed, ", ".join(unsealed), "`commdesk keys rotate`")
    keys = {key for ids in held.values() for key in ids}
    same = len({tuple(ids) for ids in held.values()}) <= 1
    yield Finding("encryption keys", same, ", ".join(sorted(keys)), "give every service the same ENCRYPTION_KEYS")
    missing = sorted(set(uses) - keys)
    needed = "; ".join(f"{key} for {', '.join(sorted(uses[key]))}" for key in missing)
    yield Finding("keys that are needed", not missing, needed, "put the key back into ENCRYPTION_KEYS")
    for key in sorted(keys - {ids[0] for ids in held.values() if ids}):
        places = ", ".join(sorted(uses.get(key, ())))
        detail = f"still needed by {places}: `commdesk keys rotate`" if places else "nothing needs it: it may go"
        yield Finding(f"older key {key}", True, detail)


async def _receipts(fleet: FleetClient) -> AsyncIterator[Finding]:
    """What payment says is left of receipts is what the books owe; what is left waits for a person."""
    try:
        payment, ledger = [
            (await fleet.delivery(service).Totals(delivery_pb2.TotalsRequest(), timeout=10)).totals
            for service in ("payment", "ledger")
        ]
    except grpc.aio.AioRpcError as error:
        yield Finding("unapplied receipts", False, str(errors_from(error)), "repair the service first")
        return
    account = "ledger.INR.liability:unapplied_receipts"
    left = payment["receipts.unapplied.minor"]
    booked = ledger[f"{account}.credit"] - ledger[f"{account}.debit"]
    waiting = [f"{left} paise"] if left else []
    if unbooked := payment["receipts.unbooked.count"]:
        waiting.append(f"{unbooked} receipt(s) in currencies that the books do not have")
    detail = f"{' and '.join(waiting)} wait for a decision (`commdesk review list`)" if waiting else ""
    if left != booked:
        detail = f"payment says {left}, the books {booked}"
    yield Finding(
        "unapplied receipts", left == booked, detail, "look again once the queues are empty; then `commdesk dlq list`"
    )


async def _clocks(description: Mapping[str, Any]) -> AsyncIterator[Finding]:
    """The gateway judges our timestamps by its own clock."""
    try:
        timeout, url = aiohttp.ClientTimeout(total=3), description["sandbox_url"] + "/health"
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as response:
            date = response.headers.get("Date")
    except (aiohttp.ClientError, TimeoutError):
        yield Finding("sandbox", False, "does not answer", "`commdesk restart sandbox`")
        return
    yield Finding("sandbox", True)
    if date:
        yield _clock("clock of the gateway", abs(time.time() - parsedate_to_datetime(date).timestamp()))


def _clock(what: str, skew_seconds: float) -> Finding:
    ok = skew_seconds < SKEW_SECONDS_MAX
    return Finding(what, ok, "" if ok else f"{skew_seconds:.0f} s apart", "set the machine's clock (NTP)")
