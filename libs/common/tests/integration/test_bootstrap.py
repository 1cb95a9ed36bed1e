import re
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import asyncpg
import pytest
from aiormq.exceptions import ChannelAccessRefused

from common import bootstrap, database_roles, database_urls, topology
from common.bootstrap import services_of
from common.services import OWNER, SCHEMAS
from common.testing.engines import password_of
from common.topology import retry_queues, rights


async def test_it_may_be_run_again(stack, database_name, database_url, owner_url):
    passwords = {
        role: urlsplit(url).password for role, url in {"payment": database_url, "payment_owner": owner_url}.items()
    }
    for _ in range(2):
        await bootstrap.database(stack.superuser_url, database_name, passwords)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("select count(*) from intents") == 0
    await connection.close()


async def test_the_roles_carry_their_settings(database_url):
    connection = await asyncpg.connect(database_url)
    shown = {name: await connection.fetchval(f"show {name}") for name in database_roles._SETTINGS}
    path = await connection.fetchval("show search_path")
    await connection.close()
    assert shown == database_roles._SETTINGS
    assert path == "payment, pg_temp"


@pytest.mark.parametrize(
    "statement",
    [
        "create table payment.mine (a int)",
        "create table public.mine (a int)",
        "create temporary table mine (a int)",
        "drop table outbox",
        "truncate outbox",
        "alter table outbox add column more int",
        "select * from outbox_default",
        "update alembic_version set version_num = 'x'",
        "create role friend",
        "set role payment_owner",
    ],
)
async def test_a_service_may_not(database_url, statement):
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


async def test_a_service_cannot_see_the_schema_of_another(stack, database_name, database_url):
    passwords = {"stranger": "of-stranger-in-tests", "stranger_owner": "of-stranger_owner-in-tests"}
    await bootstrap.database(stack.superuser_url, database_name, passwords)
    stranger = await asyncpg.connect(
        database_urls.database_url(stack.superuser_url, database_name, "stranger", passwords["stranger"])
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.execute("select * from payment.outbox")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.execute("select payment.ensure_partitions()")
    await stranger.close()
    admin = await asyncpg.connect(database_urls.database_url(stack.superuser_url, database_name))
    await admin.execute("drop schema stranger; drop owned by stranger, stranger_owner")
    await admin.execute("drop role stranger, stranger_owner")
    await admin.close()


@pytest.fixture
async def every_role(stack, database_name):
    """URLs of the test's database, as the roles of every service see it."""
    names = [role for schema in SCHEMAS for role in (schema, schema + OWNER)]
    passwords = {role: stack.passwords.get(role) or password_of(role) for role in names}
    await bootstrap.database(stack.superuser_url, database_name, passwords)
    return {
        role: database_urls.database_url(stack.superuser_url, database_name, role, password)
        for role, password in passwords.items()
    }


@pytest.mark.parametrize("database", database_roles.MAINTENANCE_DATABASES)
async def test_no_role_connects_to_a_database_of_the_server(every_role, database):
    for role, url in every_role.items():
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await asyncpg.connect(database_urls.database_url(url, database))
        own = await asyncpg.connect(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="temporary tables"):
            await own.execute("create temporary table mine (a int)")
        for other in every_role:
            if other != role:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await own.execute(f"set role {other}")
        await own.close()


async def test_the_roles_may_do_what_is_allowed_and_no_more(stack, database_name, every_role):
    admin = await asyncpg.connect(stack.superuser_url)
    problems = await database_roles.role_problems(admin, database_name, every_role)
    await admin.close()
    # Other databases of tests let the same roles in.
    of_other_tests = re.compile(r" (test|template)_\w+$")
    assert [each for each in problems if database_name in each.split() or not of_other_tests.search(each)] == []


async def test_what_a_role_changed_of_itself_is_found_and_set_back(stack, database_name):
    """PostgreSQL lets every role change its own password and settings; no right can be taken for it."""
    passwords = {"outsider": "of-outsider-in-tests", "outsider_owner": "of-outsider_owner-in-tests"}
    url = database_urls.database_url(stack.superuser_url, database_name, "outsider", passwords["outsider"])
    await bootstrap.database(stack.superuser_url, database_name, passwords)
    admin = await asyncpg.connect(database_urls.database_url(stack.superuser_url, database_name))
    try:
        outsider = await asyncpg.connect(url)
        await outsider.execute("alter role outsider set statement_timeout = 0")
        await outsider.execute("alter role outsider set work_mem = '1GB'")
        await outsider.execute(f'alter role outsider in database "{database_name}" set lock_timeout = 0')
        await outsider.execute("alter role outsider password 'another'")
        await outsider.close()
        await admin.execute("alter role outsider createdb valid until '2020-01-01'")
        await admin.execute("grant pg_read_all_data to outsider")
        await admin.execute(f'grant temporary on database "{database_name}" to outsider')
        problems = await database_roles.role_problems(admin, database_name, passwords)
        assert {problem for problem in problems if problem.startswith("outsider ")} == {
            "outsider is createdb",
            "outsider is a member of pg_read_all_data",
            f"outsider may make temporary tables in {database_name}",
            f"outsider has other settings: lock_timeout in {database_name}, statement_timeout, work_mem",
        }
        await bootstrap.database(stack.superuser_url, database_name, passwords)
        problems = await database_roles.role_problems(admin, database_name, passwords)
        # What an administrator made the role a member of is named, not taken away.
        assert [problem for problem in problems if problem.startswith("outsider ")] == [
            "outsider is a member of pg_read_all_data"
        ]
        await (await asyncpg.connect(url)).close()
    finally:
        await admin.execute("drop schema outsider; drop owned by outsider, outsider_owner")
        await admin.execute("drop role outsider, outsider_owner")
        await admin.close()


def test_a_role_without_its_owner_is_refused():
    with pytest.raises(ValueError, match="two database roles"):
        services_of({"wallet": "x"})


TIERS = retry_queues(30_000)


def test_rights_follow_the_contract():
    given = rights("webhook-ingest", TIERS)
    assert re.fullmatch(given["configure"], "webhook-ingest.access.revoked.0123456789abcdef")
    for name in ("webhook.exchange", "webhook.status", "payment.access.revoked.0123456789abcdef"):
        assert not re.fullmatch(given["configure"], name)
    for name in ("webhook.exchange", "retry.30000ms", "retry.27000ms", "requeue.exchange", "audit.exchange"):
        assert re.fullmatch(given["write"], name)
    for name in ("payment.exchange", "webhookXexchange", "webhook.exchange2", "amq.default", "retry.1ms", ""):
        assert not re.fullmatch(given["write"], name)
    assert re.fullmatch(given["read"], "webhook.status")
    assert re.fullmatch(given["read"], "webhook.status.dlq")
    assert not re.fullmatch(given["read"], "webhook.processing")


def test_a_service_without_queues_reads_its_transient_ones_alone():
    assert rights("identity", TIERS)["read"] == r"^(identity\.access\.revoked\.[0-9a-f]{16}|identity\.exchange)$"


async def test_a_broker_user_does_what_the_contract_says_and_no_more(broker_url, retry_schedule_ms):
    async with await aio_pika.connect(broker_url) as connection:
        await topology.check(await connection.channel(), "payment", retry_schedule_ms)
        for forbidden in (
            lambda channel: channel.declare_queue("mine"),
            lambda channel: channel.declare_exchange("mine"),
            _consume_from("wallet.credit"),
            _publish_to("fraud.exchange"),
        ):
            with pytest.raises(ChannelAccessRefused):
                # One that is refused closes its channel.
                await forbidden(await connection.channel())


def _consume_from(name):
    async def consume(channel):
        await (await channel.get_queue(name, ensure=False)).get(fail=False)

    return consume


def _publish_to(name):
    async def publish(channel):
        exchange = await channel.get_exchange(name, ensure=False)
        await exchange.publish(aio_pika.Message(b""), "fraud.flagged")

    return publish


async def test_a_whole_broker_may_be_bootstrapped_again(stack, vhost):
    name = f"{vhost}_more"
    secrets = {"test-migrator-more": "of-more-in-tests"}
    try:
        for _ in range(2):
            await bootstrap.broker(stack.management_url, name, secrets)
        async with bootstrap.management(stack.management_url) as api:
            given = await (await api.get(f"/api/permissions/{name}/test-migrator-more")).json()
            assert given["configure"] == "^$"
    finally:
        async with bootstrap.management(stack.management_url) as api:
            await api.delete("/api/users/test-migrator-more")
            await api.delete(f"/api/vhosts/{name}")


async def test_a_wrong_administrator_is_an_error(stack):
    url = re.sub(r"//[^@]*@", "//admin:wrong@", stack.management_url)
    with pytest.raises(aiohttp.ClientResponseError):
        await bootstrap.broker(url, "nowhere", {})


async def test_the_check_names_the_queue_that_is_missing(broker_url, broker_admin_url, retry_schedule_ms):
    async with await aio_pika.connect(broker_admin_url) as admin, await aio_pika.connect(broker_url) as connection:
        channel = await admin.channel()
        await channel.queue_delete("refund.processing")
        try:
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity, match=r"refund\.processing"):
                await topology.check(await connection.channel(), "payment", retry_schedule_ms)
        finally:
            await topology.declare(channel, retry_schedule_ms)


async def test_a_statement_planned_on_empty_tables_probes_the_index_when_they_are_full(database_url):
    """The roles' settings keep plans for ever, so the first one has to be right."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """
        prepare finished (uuid[]) as
            update intents set done_at = now()
            from unnest($1) as finished (intent_id) where intents.intent_id = finished.intent_id
        """
    )
    await connection.execute("execute finished (array[gen_random_uuid()])")
    await connection.execute(
        """
        insert into intents (intent_id, kind, payload, attempts, due_at)
        select gen_random_uuid(), 'test', '', 0, now() from generate_series(1, 2000)
        """
    )
    explained = await connection.fetch("explain verbose execute finished (array[gen_random_uuid()])")
    await connection.close()
    plan = "\n".join(line for (line,) in explained)
    assert "unnest($1)" in plan, f"planned anew: {plan}"
    assert "Index Scan using intents_pkey" in plan, plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize("schemas", ["payment,nope", "", "payment,"])
def test_only_schemas_of_the_contract_are_chosen(schemas, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bootstrap", "--secrets", "-", "--schemas", schemas])
    with pytest.raises(SystemExit) as ended:
        bootstrap.main()
    assert ended.value.code == 2
    assert "there is no schema" in capsys.readouterr().err
