"""A channel to several replicas: calls are spread, and a replica that stops is left before it refuses any."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from commdesk.common.v1 import common_pb2
from common import grpc_client
from common.grpc_server import GrpcServer, serve_grpc
from common.tokens import ServiceTokens

KEYS = {name: Ed25519PrivateKey.generate() for name in ("payment", "wallet")}
PUBLIC = {name: base64.b64encode(key.public_key().public_bytes_raw()).decode() for name, key in KEYS.items()}


def tokens(service: str) -> ServiceTokens:
    return ServiceTokens(service, base64.b64encode(KEYS[service].private_bytes_raw()).decode(), PUBLIC)


class Named:
    """Says which replica answered."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def Say(self, request: common_pb2.Error, call: object) -> common_pb2.Error:
        await asyncio.sleep(0.002)
        return common_pb2.Error(code=self._name)


def add_named(servicer: Named, server: object) -> None:
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.Say,
        request_deserializer=common_pb2.Error.FromString,
        response_serializer=common_pb2.Error.SerializeToString,
    )
    server.add_registered_method_handlers("test.Named", {"Say": handler})


async def start(name: str, port: int = 0) -> GrpcServer:
    return await serve_grpc(
        port, [(add_named, Named(name))], tokens("wallet"), allowed_callers=lambda method: frozenset({"payment"})
    )


@pytest.fixture
async def servers() -> AsyncIterator[list[GrpcServer]]:
    async with AsyncExitStack() as entered:
        started = [await start(name) for name in ("first", "second")]
        for server in started:
            entered.push_async_callback(server.stop, 0)
        yield started


@pytest.fixture
async def channel(servers: list[GrpcServer]) -> AsyncIterator[grpc.aio.Channel]:
    address = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    async with grpc_client.channel(address, tokens("payment"), "wallet") as channel:
        yield channel


def say(channel: grpc.aio.Channel):
    return channel.unary_unary(
        "/test.Named/Say",
        request_serializer=common_pb2.Error.SerializeToString,
        response_deserializer=common_pb2.Error.FromString,
    )


async def answers(channel: grpc.aio.Channel, calls: int) -> Counter[str]:
    method = say(channel)
    return Counter([(await method(common_pb2.Error(), timeout=5)).code for _ in range(calls)])


async def until_both_answer(channel: grpc.aio.Channel) -> None:
    async with asyncio.timeout(10):
        while (await answers(channel, 10)).keys() != {"first", "second"}:
            await asyncio.sleep(0.05)


async def test_calls_are_spread_evenly(channel: grpc.aio.Channel):
    await until_both_answer(channel)
    counted = await answers(channel, 100)
    assert counted["first"] == counted["second"] == 50


async def test_no_call_fails_while_replicas_are_restarted_in_turn(channel: grpc.aio.Channel, servers: list[GrpcServer]):
    await until_both_answer(channel)
    failures: list[grpc.aio.AioRpcError] = []
    stopped = asyncio.Event()
    calls = 0

    async def call_on() -> None:
        nonlocal calls
        method = say(channel)
        while not stopped.is_set():
            try:
                await method(common_pb2.Error(), timeout=5)
            except grpc.aio.AioRpcError as error:
                failures.append(error)
            calls += 1

    callers = [asyncio.create_task(call_on()) for _ in range(8)]
    for number, name in enumerate(("first", "second")):
        await servers[number].drain()
        await asyncio.sleep(0.3)
        before = asyncio.get_running_loop().time()
        await servers[number].stop(10)
        assert asyncio.get_running_loop().time() - before < 2, "the clients' health watches hold nothing up"
        servers[number] = await start(name, servers[number].port)
        await until_both_answer(channel)
    stopped.set()
    await asyncio.gather(*callers)
    for server in servers:
        await server.stop(0)
    assert failures == []
    assert calls > 200


async def test_a_replica_that_is_gone_leaves_the_calls_to_the_other(
    channel: grpc.aio.Channel, servers: list[GrpcServer]
):
    await until_both_answer(channel)
    await servers[0].stop(0)
    await asyncio.sleep(0.1)
    assert await answers(channel, 20) == {"second": 20}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("wallet:9000", "wallet:9000"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("127.0.0.1:1, 127.0.0.2:2", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        ("[::1]:1,[::2]:2", "ipv6:[::1]:1,[::2]:2"),
    ],
)
def test_one_name_or_several_addresses(address: str, expected: str):
    assert grpc_client.target(address) == expected


@pytest.mark.parametrize("address", ["wallet-1:9000,wallet-2:9000", "127.0.0.1:1,[::1]:1", "127.0.0.1:1,"])
def test_several_names_are_refused(address: str):
    with pytest.raises(ValueError):
        grpc_client.target(address)
