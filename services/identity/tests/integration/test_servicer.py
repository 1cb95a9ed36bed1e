"""The gRPC endpoint over a real channel, with real service tokens."""

from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
from redis.asyncio import Redis

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import grpc_client, ids
from common.clock import FakeClock
from common.context import Context
from common.database import Database
from common.grpc_server import serve_grpc
from common.testing import public_key
from common.tokens import ServiceTokens
from identity.__main__ import parts
from identity.domain.users import User
from identity.settings import Settings
from identity.use_cases.sign_ups import SignUp, sign_up_users

GetUsers = Callable[..., Awaitable[list[pb.User]]]
Enrol = Callable[[], Awaitable[User]]


@pytest.fixture
async def get_users(
    settings: Settings, db: Database, redis: Redis, clock: FakeClock, service_keys: dict[str, str]
) -> AsyncIterator[GetUsers]:
    """GetUsers as another service calls it."""
    public_keys = {name: public_key(key) for name, key in service_keys.items()}
    tokens = {name: ServiceTokens(name, key, public_keys) for name, key in service_keys.items()}
    async with parts(settings, db, redis, clock) as service:
        server = await serve_grpc(0, service.grpc, tokens["identity"])

        async def get_users(*user_ids: str, caller: str = "payment") -> list[pb.User]:
            async with grpc_client.channel(f"127.0.0.1:{server.port}", tokens[caller], "identity") as channel:
                stub = IdentityServiceStub(channel)  # type: ignore[no-untyped-call]
                response = await stub.GetUsers(pb.GetUsersRequest(user_ids=user_ids), timeout=2)
                return list(response.users)

        yield get_users
        await server.stop(0)


@pytest.fixture
def enrol(db: Database, clock: FakeClock, user: Callable[..., User]) -> Enrol:
    async def enrol() -> User:
        new = user(user_id=ids.new(), email=f"{ids.new().hex}@example.com")
        [result] = await sign_up_users(db, clock, [SignUp(new, None, Context())])
        assert isinstance(result, User)
        return result

    return enrol


async def test_users_are_found_by_their_ids(get_users: GetUsers, enrol: Enrol) -> None:
    one, other = await enrol(), await enrol()
    one_id, other_id, absent = (ids.encode("usr", each) for each in (one.user_id, other.user_id, ids.new()))
    users = await get_users(other_id, absent, one_id, "65f1c0ffee", "", one_id)
    assert {user.user_id for user in users} == {one_id, other_id}
    [user] = await get_users(one_id)
    assert user == pb.User(
        user_id=one_id,
        merchant_id="mer_commdesk",
        name="Asha Rao",
        email=one.email,
        phone="+919876543210",
        roles=["USER"],
        status="ACTIVE",
    )


async def test_a_call_is_bounded(get_users: GetUsers) -> None:
    many = [ids.encode("usr", ids.new()) for _ in range(501)]
    assert await get_users(*many[:500]) == []
    with pytest.raises(grpc.aio.AioRpcError, match="at most 500") as refused:
        await get_users(*many)
    assert grpc_client.errors_from(refused.value).code == "limit_exceeded"


async def test_a_caller_that_is_not_in_the_contract_is_refused(get_users: GetUsers) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="may not call") as refused:
        await get_users(caller="wallet")
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
