"""Redis lets each service touch its own keys, by its own commands, and nothing else."""

import os
import secrets
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio
from redis.exceptions import NoPermissionError, ResponseError

from common import redis_users
from common.redis_users import COMMANDS, acl_rule, write_ready
from common.services import SERVICES
from common.testing import Stack

# Users are the server's, not a numbered database's: these are this process's own.
SUFFIX = f"-of-{os.getpid()}"


def patterns() -> list[tuple[str, str]]:
    return [(name, pattern) for name, service in SERVICES.items() for pattern in service.redis_keys]


def key_of(pattern: str) -> str:
    return pattern.replace("*", "of-a-test")


def test_no_key_belongs_to_two_services_but_the_quota_of_a_gateway() -> None:
    for name, pattern in patterns():
        owners = {other for other, each in patterns() if fnmatchcase(key_of(pattern), each)}
        assert owners == {name} or pattern == "gateway:quota:*", pattern


@pytest_asyncio.fixture
async def users(redis: Any, redis_url: str) -> AsyncIterator[dict[str, Any]]:
    """A client for every service, as a user with the service's rights."""
    clients = {}
    address = redis_url.rpartition("@")[2]
    for name, service in SERVICES.items():
        password = secrets.token_hex(8)
        _, _, *rules = acl_rule(service, password).split()
        await redis.execute_command("ACL", "SETUSER", name + SUFFIX, "reset", *rules)
        clients[name] = redis_client(f"redis://{name}{SUFFIX}:{password}@{address}")
    yield clients
    for client in clients.values():
        await client.aclose()
    await redis.execute_command("ACL", "DELUSER", *(name + SUFFIX for name in SERVICES))


def redis_client(url: str) -> Any:
    return redis.asyncio.Redis.from_url(url, socket_timeout=10)


async def test_each_user_touches_its_own_keys_and_no_others(users: dict[str, Any]) -> None:
    for name, client in users.items():
        for pattern in {each for _, each in patterns()} | {"anything", "commdesk:*"}:
            key, own = key_of(pattern), SERVICES[name].redis_keys
            attempts = (client.set(key, b"1", ex=9), client.get(key), client.mget([key]), client.delete(key))
            scripts = (client.eval("return redis.call('SET', KEYS[1], 1, 'PX', 1)", 1, key),)
            for attempt in (*attempts, *scripts):
                if any(fnmatchcase(key, each) for each in own):
                    await attempt
                    continue
                with pytest.raises((NoPermissionError, ResponseError)) as refused:
                    await attempt
                assert "permission" in str(refused.value).lower(), (name, key)


@pytest.mark.parametrize(
    "command",
    ["KEYS *", "SCAN 0", "CONFIG GET *", "FLUSHALL", "FLUSHDB", "ACL LIST", "ACL SETUSER x on", "CLIENT LIST",
     "SHUTDOWN", "PUBLISH a b", "SCRIPT FLUSH", "RENAME a b", "INFO", "MULTI"],
)  # fmt: skip
async def test_no_user_may_look_around_or_administer(users: dict[str, Any], command: str) -> None:
    assert command.split(maxsplit=1)[0].lower() not in COMMANDS
    for client in users.values():
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command.split())


async def test_a_user_who_may_not_write_its_keys_is_not_ready(redis: Any, users: dict[str, Any]) -> None:
    for name, client in users.items():
        await write_ready(client, name)
    await redis.execute_command("ACL", "SETUSER", f"payment{SUFFIX}", "resetkeys", "~ready:payment", "~lock:payment:*")
    with pytest.raises(NoPermissionError):
        await write_ready(users["payment"], "payment")


async def test_the_engines_of_this_stack_let_nobody_in_without_a_name(stack: Stack) -> None:
    address = stack.redis_url.rpartition("@")[2]
    nobody = redis_client(f"redis://{address}/0")
    with pytest.raises(redis.exceptions.AuthenticationError):
        await nobody.ping()
    await nobody.aclose()


def test_the_lines_say_only_the_hash_of_a_password() -> None:
    line = redis_users.acl_rule(SERVICES["payment"], "a-password")
    assert "a-password" not in line
    assert line.startswith("user payment on #") and " -@all +get " in line
