"""The gRPC endpoint over a real channel, with real service tokens."""

from collections.abc import Awaitable, Callable

import grpc
import pytest

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import grpc_client, ids
from common.clock import FakeClock
from common.context import Context
from common.database import Database
from common.testing import Served
from identity.domain.users import User
from identity.use_cases.sign_ups import SignUp, sign_up_users
from services.identity.tests.conftest import MAILS

GetUsers = Callable[..., Awaitable[list[pb.User]]]
Enrol = Callable[[], Awaitable[User]]


@pytest.fixture
def get_users(identity: Served) -> GetUsers:
    """GetUsers as another service calls it."""

    async def get_users(*user_ids: str, caller: str = "payment") -> list[pb.User]:
        stub = IdentityServiceStub(identity.channel(caller))  # type: ignore[no-untyped-call]
        response = await stub.GetUsers(pb.GetUsersRequest(user_ids=user_ids), timeout=2)
        return list(response.users)

    return get_users


@pytest.fixture
def enrol(db: Database, clock: FakeClock, user: Callable[..., User]) -> Enrol:
    async def enrol() -> User:
        new = user(user_id=ids.new(), email=f"{ids.new().hex}@example.com")
        [result] = await sign_up_users(db, clock, MAILS, [SignUp(new, Context())])
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
