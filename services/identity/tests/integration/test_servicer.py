import grpc
import pytest

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub, add_IdentityServiceServicer_to_server
from common import grpc_client, ids
from common.errors import InvalidArgument
from common.grpc_server import serve_grpc
from common.testing import public_key
from common.tokens import ServiceTokens
from identity import wire
from identity.servicer import IdentityServicer


@pytest.fixture
async def call(db, service_keys):
    """GetUsers as another service calls it."""
    public_keys = {name: public_key(key) for name, key in service_keys.items()}
    tokens = {name: ServiceTokens(name, key, public_keys) for name, key in service_keys.items()}
    registration = (add_IdentityServiceServicer_to_server, IdentityServicer(db))
    server = await serve_grpc(0, [registration], tokens["identity"])

    async def get_users(*user_ids, caller="payment"):
        async with grpc_client.channel(f"127.0.0.1:{server.port}", tokens[caller], "identity") as channel:
            answer = await IdentityServiceStub(channel).GetUsers(pb.GetUsersRequest(user_ids=user_ids), timeout=2)
            return list(answer.users)

    yield get_users
    await server.stop(0)


async def sign_up(accounts, form):
    body = form()
    answer = await accounts.sign_up(
        wire.SignUpBody(body["email"], body["name"], body["password"], body["confirmPassword"], body["mobileNumber"])
    )
    return answer.user


async def test_users_are_told_by_their_ids(call, accounts, form):
    one, other = await sign_up(accounts, form), await sign_up(accounts, form)
    absent = ids.encode("usr", ids.new())
    found = await call(other.id, absent, one.id, "65f1c0ffee", "", one.id)
    assert {user.user_id for user in found} == {one.id, other.id}
    [user] = await call(one.id)
    assert user == pb.User(
        user_id=one.id,
        merchant_id="mer_commdesk",
        name="Asha Rao",
        email=one.email,
        phone="+919876543210",
        roles=["USER"],
        status="ACTIVE",
    )


async def test_a_call_is_bounded(call):
    many = [ids.encode("usr", ids.new()) for _ in range(501)]
    assert await call(*many[:500]) == []
    with pytest.raises(Exception, match="500 users") as caught:
        await call(*many)
    assert isinstance(grpc_client.errors_from(caught.value), InvalidArgument)


async def test_who_is_not_in_the_contract_gets_nothing(call):
    with pytest.raises(Exception, match="may not call") as caught:
        await call(caller="wallet")
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
