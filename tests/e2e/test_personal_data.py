"""Personal data is planted through the edge and looked for everywhere the fleet keeps or moves anything.

In no table, message, Redis value, log line or backup does it stand in plain; the operator's commands show it, seal it
anew and erase it.
"""

import asyncio
import base64
import json
import secrets
import subprocess
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest
import redis.asyncio
from msgspec import Struct

from common.topology import CONTRACT
from ops import journey, postgresql
from ops.fleet_client import FleetClient
from ops.journey import Member
from ops.ports import Layout

from .test_journey import run_command

# The first test waits for the whole fleet, on a machine that others use as well.
pytestmark = pytest.mark.timeout(600)

AGENT = "Plantagent/7.5 (Quillfeather)"
DEVICE = "device-of-the-plant-7c1"
# What other people's software writes for itself: the customer's own mailbox, and the gateway's.
NOT_OURS = ("mail.log", "sandbox.log")


class Plant(Struct, frozen=True):
    """Somebody with distinctive data: their account's, and what they enter when they pay."""

    email: str
    name: str
    mobile: str
    customer_email: str
    customer_name: str
    customer_phone: str

    @property
    def words(self) -> tuple[str, ...]:
        return (self.email, self.name, self.mobile, self.customer_email, self.customer_name, self.customer_phone,
                AGENT, DEVICE)  # fmt: skip


def plant() -> Plant:
    word = "".join(secrets.choice("bdfgklmnprstvz") for _ in range(8))
    return Plant(
        f"quil.{word}@example.com",
        f"Quil {word.capitalize()}",
        f"98{secrets.randbelow(10**8):08}",
        f"pays.{word}@example.com",
        f"Payer {word.capitalize()}",
        f"97{secrets.randbelow(10**8):08}",
    )


async def sign_up(fleet: FleetClient, who: Plant) -> Member:
    password = secrets.token_urlsafe(12)
    headers = {"User-Agent": AGENT}
    body = {"email": who.email, "name": who.name, "password": password, "confirmPassword": password,
            "mobileNumber": who.mobile, "countryCode": "+91", "type": "USER"}  # fmt: skip
    signed_up = await fleet.edge("POST", "/api/v1/users/signup", body, headers=headers)
    assert signed_up.status == 202, signed_up.body
    login = {"email": who.email, "password": password}
    data = (await fleet.edge("POST", "/api/v1/users/login", login, headers=headers)).data
    assert (await fleet.edge("GET", "/api/v1/users/profile", token=data["token"])).data["email"] == who.email
    return Member(data["user"]["_id"], who.email, data["token"])


async def create(fleet: FleetClient, who: Plant, member: Member) -> dict[str, Any]:
    body = {
        "packId": "pack_500",
        "customerEmail": who.customer_email,
        "customerName": who.customer_name,
        "customerPhone": who.customer_phone,
    }
    headers = {"User-Agent": AGENT, "X-Device-Id": DEVICE, "Idempotency-Key": secrets.token_hex(8)}
    created = await fleet.edge("POST", "/api/v1/payments/create", body, token=member.token, headers=headers)
    assert created.status == 201, created.body
    data: dict[str, Any] = created.data
    return data


async def live(fleet: FleetClient, who: Plant) -> Member:
    """A payment that succeeds and one that fails, with the mails about both."""
    member = await sign_up(fleet, who)
    paid, failed = await create(fleet, who, member), await create(fleet, who, member)
    await journey.pay(fleet, paid["orderId"])
    await journey.until_success(fleet, member, paid["paymentId"])
    await journey.pay(fleet, failed["orderId"], outcome="failure")
    closed = await fleet.edge("POST", f"/api/v1/payments/{failed['paymentId']}/cancel", {}, token=member.token)
    assert closed.status in (200, 409), closed.body

    async def mailed() -> list[Any] | None:
        return await fleet.mails(to=who.customer_email) or None

    await journey.until(mailed, "the mail")
    return member


# ── Where it is looked for ───────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def database(fleet: FleetClient) -> AsyncIterator[asyncpg.Connection]:
    url = fleet.description["postgresql"]["superuser_url"].rpartition("/")[0] + "/commdesk"
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def in_tables(fleet: FleetClient, words: Collection[str]) -> set[str]:
    """`schema.table.column: word` for every column of every schema that holds a word in plain."""
    found = set()
    async with database(fleet) as connection:
        columns = await connection.fetch("""
            select n.nspname as schema, c.relname as name, a.attname as column, format_type(a.atttypid, null) as type
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relkind in ('r', 'm') and n.nspname !~ '^(pg_|information_schema)'
        """)
        assert len(columns) > 200, "this is not the fleet's database"
        for schema, name, column, kind in columns:
            # In bytes, ASCII stands as it is; in an unknown type, its text is what a reader would see.
            text = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'cast("{column}" as text)'
            for word in words:
                query = (
                    f'select exists (select from "{schema}"."{name}" where position(lower($1) in lower({text})) > 0)'
                )
                if await connection.fetchval(query, word):
                    found.add(f"{schema}.{name}.{column}: {word}")
    return found


async def in_queues(fleet: FleetClient, words: Collection[str]) -> tuple[set[str], int]:
    """The same of what lies in queues, and how many messages were looked at."""
    broker = fleet.description["rabbitmq"]
    found, looked_at = set(), 0
    async with aiohttp.ClientSession() as http:
        for queue in (name for owned in CONTRACT.queues for name in (owned.name, owned.dead_letters)):
            url = f"{broker['management_url']}/api/queues/{broker['vhost']}/{queue}/get"
            peek = {"count": 1000, "ackmode": "ack_requeue_true", "encoding": "base64"}
            async with http.post(url, json=peek) as response:
                assert response.status == 200, await response.text()
                for message in await response.json():
                    looked_at += 1
                    content = base64.b64decode(message["payload"]) + json.dumps(message["properties"]).encode()
                    found |= {f"queue {queue}: {word}" for word in words if holds(content, word)}
    return found, looked_at


async def in_redis(fleet: FleetClient, words: Collection[str]) -> tuple[set[str], int]:
    client = redis.asyncio.Redis.from_url(fleet.description["redis"]["url"])
    found, looked_at = set(), 0
    async for key in client.scan_iter(count=1000):
        content = key + (await client.dump(key) or b"")
        if await client.type(key) == b"string":
            content += await client.get(key) or b""
        looked_at += 1
        found |= {f"redis {key.decode()}: {word}" for word in words if holds(content, word)}
    await client.aclose()
    return found, looked_at


def in_logs(layout: Layout, words: Collection[str]) -> set[str]:
    files = [file for file in layout.logs.rglob("*") if file.is_file() and file.name not in NOT_OURS]
    assert len(files) > 10, files
    return {f"{file.name}: {word}" for file in files for word in words if holds(file.read_bytes(), word)}


def in_backup(fleet: FleetClient, words: Collection[str]) -> set[str]:
    url = fleet.description["postgresql"]["superuser_url"].rpartition("/")[0] + "/commdesk"
    dump = subprocess.run([postgresql.binaries() / "pg_dump", url], capture_output=True, check=True).stdout
    assert len(dump) > 100_000
    # A dump writes bytes as hexadecimal digits.
    return {f"backup: {word}" for word in words if holds(dump, word) or holds(dump, word.encode().hex())}


def holds(content: bytes, word: str) -> bool:
    return word.lower().encode() in content.lower()


async def found_anywhere(fleet: FleetClient, layout: Layout, words: Collection[str]) -> set[str]:
    queues, _ = await in_queues(fleet, words)
    caches, _ = await in_redis(fleet, words)
    return await in_tables(fleet, words) | queues | caches | in_logs(layout, words) | in_backup(fleet, words)


# ── The tests ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_personal_data_stands_nowhere_in_plain(
    fleet: FleetClient, layout: Layout, commdesk: Sequence[str]
) -> None:
    who = plant()
    await live(fleet, who)
    # Whose consumers are away: their messages lie in the queues.
    assert (await run_command(commdesk, "stop", "notifier", "ledger", "fraud"))[0] == 0
    try:
        waiting = plant()
        member = await sign_up(fleet, waiting)
        created = await create(fleet, waiting, member)
        await journey.pay(fleet, created["orderId"])
        await journey.until_success(fleet, member, created["paymentId"])
        await asyncio.sleep(3)
        words = {*who.words, *waiting.words}
        queued, messages = await in_queues(fleet, words)
        assert messages >= 3, "messages wait for those who were stopped"
        assert (await in_redis(fleet, words))[1] >= 3
        assert queued | await found_anywhere(fleet, layout, words) == set()
    finally:
        assert (await run_command(commdesk, "start", "notifier", "ledger", "fraud"))[0] == 0


async def test_an_address_of_the_network_is_sealed_as_well(fleet: FleetClient) -> None:
    await live(fleet, plant())
    async with database(fleet) as connection:
        for column in ("ledger.audit_logs.ip_address", "identity.sessions.ip", "payment.payments.ip"):
            table, _, name = column.rpartition(".")
            plain = await connection.fetchval(
                f"select count(*) from {table} where {name} <> '' and {name} not like 's1.%'"
            )
            sealed = await connection.fetchval(f"select count(*) from {table} where {name} like 's1.%'")
            assert (plain, sealed > 0) == (0, True), column


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("identity.users", "name"),
        ("payment.payments", "customer_name"),
        ("notifier.emails", "recipient"),
        ("webhook_ingest.webhook_logs", "payload"),
        ("identity.sessions", "user_agent"),
    ],
)
async def test_one_column_that_is_not_sealed_is_found(fleet: FleetClient, table: str, column: str) -> None:
    """The search itself: it sees what an unsealed column would hold."""
    who = plant()
    await live(fleet, who)
    key = {"identity.users": "user_id", "identity.sessions": "session_id"}.get(table, "id")
    async with database(fleet) as connection:
        # The oldest row: no service changes it any more.
        row = await connection.fetchrow(f"select {key}, {column} from {table} order by {key} limit 1")
        assert row is not None
        plain = who.name.encode() if isinstance(row[1], bytes) else who.name
        await connection.execute(f"update {table} set {column} = $1 where {key} = $2", plain, row[0])
        try:
            assert await in_tables(fleet, [who.name]) == {f"{table}.{column}: {who.name}"}
            assert in_backup(fleet, [who.name])
        finally:
            await connection.execute(f"update {table} set {column} = $1 where {key} = $2", row[1], row[0])


async def test_a_person_is_shown_and_erased(fleet: FleetClient, layout: Layout, commdesk: Sequence[str]) -> None:
    who = plant()
    member = await live(fleet, who)
    code, output = await run_command(commdesk, "person", "export", who.email)
    assert code == 0, output
    exported = json.loads(output)
    assert exported["userId"] == member.user_id
    assert {"identity", "payment", "webhook-ingest", "ledger"} <= exported.keys()
    for word in (who.email, who.name, who.mobile, who.customer_name, who.customer_phone, AGENT, DEVICE):
        assert word in output, word
    code, by_id = await run_command(commdesk, "person", "export", member.user_id)
    assert (code, json.loads(by_id)["email"]) == (0, who.email)

    for _ in range(2):
        code, output = await run_command(commdesk, "person", "erase", member.user_id, "--reason", "asked to", "--yes")
        assert code == 0, output
    code, output = await run_command(commdesk, "person", "export", member.user_id)
    assert code == 0, output
    assert not [word for word in who.words if word in output], output
    # What the law keeps is still there, and says no more than an id.
    assert json.loads(output)["payment"]["invoices"]
    code, output = await run_command(commdesk, "person", "export", who.email)
    assert member.user_id not in output
    assert (await fleet.edge("GET", "/api/v1/users/profile", token=member.token)).data.get("email") != who.email


async def test_keys_are_rotated_while_the_fleet_serves(
    fleet: FleetClient, layout: Layout, commdesk: Sequence[str]
) -> None:
    who = plant()
    await live(fleet, who)
    code, output = await run_command(commdesk, "keys", "rotate", "--json")
    assert code == 0, output
    assert {"identity", "payment", "notifier", "webhook-ingest", "ledger"} <= {
        service for service, tables in json.loads(output).items() if tables
    }
    code, output = await run_command(commdesk, "keys", "list", "--json")
    assert code == 0, output
    assert {use["key"] for use in json.loads(output)} == {"k1"}
