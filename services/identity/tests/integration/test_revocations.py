"""Revoked accesses: announced, listed for replicas that missed it, refused where tokens are verified; Authorize."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import httpx
import pytest

from commdesk.common.v1 import personal_data_pb2
from commdesk.common.v1.personal_data_pb2_grpc import PersonalDataServiceStub
from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.events_pb2 import AccessRevoked
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import grpc_client, ids
from common.api_keys import ApiKeys
from common.authorization import Authorizer
from common.clock import FakeClock
from common.database import Database
from common.errors import DomainError, RightsOutdated
from common.revocation_feed import RevocationFeed
from common.runtime import Resources
from common.testing import Served, published
from common.tokens import Revocations
from identity.__main__ import create_admin
from identity.settings import Settings

Json = dict[str, Any]
BuildForm = Callable[..., dict[str, str]]
Call = Callable[..., Awaitable[Json]]
PASSWORD = "correct horse battery"


@pytest.fixture
def call(http: httpx.AsyncClient) -> Call:
    async def call(method: str, path: str, session: Json | None = None, status: int = 200, **options: Any) -> Json:
        headers = {"Authorization": f"Bearer {session['token']}"} if session else {}
        response = await http.request(method, f"/api/v1/users{path}", headers=headers, **options)
        assert response.status_code == status, response.text
        document: Json = response.json()
        return document["data"] if status < 400 else document["error"]  # type: ignore[no-any-return]

    return call


@pytest.fixture
def feed(identity: Served, resources: Resources) -> RevocationFeed:
    """As every service has one, over a real channel."""
    stub = IdentityServiceStub(identity.channel("payment"))  # type: ignore[no-untyped-call]
    return RevocationFeed(resources.user_tokens.revocations, ApiKeys(stub), stub)


@pytest.fixture
async def admin(call: Call, settings: Settings) -> Json:
    await create_admin(settings, "root@example.com", "Root", "an administrator's")
    return await call("POST", "/login", json={"email": "root@example.com", "password": "an administrator's"})


@pytest.fixture
def member(call: Call, form: BuildForm) -> Callable[[], Awaitable[Json]]:
    """Somebody new, logged in."""

    async def member() -> Json:
        entered = form()
        await call("POST", "/signup", status=202, json=entered)
        return await call("POST", "/login", json={"email": entered["email"], "password": PASSWORD})

    return member


async def change_access(call: Call, admin: Json, session: Json, **body: object) -> None:
    await call("PUT", f"/{session['user']['_id']}/access", admin, json=body)


async def change_password(call: Call, session: Json) -> None:
    body = {"currentPassword": PASSWORD, "password": "a new staple", "confirmPassword": "a new staple"}
    await call("PUT", "/password", session, json=body)


async def test_what_ends_an_access_ends_its_tokens(
    call: Call, member: Callable[[], Awaitable[Json]], admin: Json, feed: RevocationFeed, clock: FakeClock
) -> None:
    one = await member()
    other = await call("POST", "/login", json={"email": one["user"]["email"], "password": PASSWORD})
    await call("GET", "/profile", one)
    await call("POST", "/logout", one)
    await feed.read()
    assert (await call("GET", "/profile", one, 401))["code"] == "token_revoked"
    await call("GET", "/profile", other)

    await call("POST", "/logout?everywhere=true", other)
    await feed.read()
    await call("GET", "/profile", other, 401)

    here = await member()
    there = await call("POST", "/login", json={"email": here["user"]["email"], "password": PASSWORD})
    await change_password(call, here)
    await feed.read()
    await call("GET", "/profile", here)
    await call("GET", "/profile", there, 401)

    clock.advance(seconds=1)
    following = await call("POST", "/refresh", json={"refreshToken": here["refreshToken"]})
    clock.advance(seconds=11)
    await call("POST", "/refresh", status=401, json={"refreshToken": here["refreshToken"]})  # reuse
    await feed.read()
    await call("GET", "/profile", following, 401)

    switched_off = await member()
    await change_access(call, admin, switched_off, status="INACTIVE")
    await feed.read()
    await call("GET", "/profile", switched_off, 401)


async def erase(identity: Served, session: Json) -> None:
    person = personal_data_pb2.Person(user_id=session["user"]["_id"])
    request = personal_data_pb2.ErasePersonRequest(person=person, actor="operator:test", reason="asked to")
    stub = PersonalDataServiceStub(identity.channel())  # type: ignore[no-untyped-call]
    await stub.ErasePerson(request, timeout=5)


async def test_whoever_is_erased_has_no_access_left(
    call: Call, member: Callable[[], Awaitable[Json]], identity: Served, feed: RevocationFeed, db: Database
) -> None:
    session, other = await member(), await member()
    await erase(identity, session)
    await feed.read()
    assert (await call("GET", "/profile", session, 401))["code"] == "token_revoked"
    await call("POST", "/refresh", status=401, json={"refreshToken": session["refreshToken"]})
    await call("GET", "/profile", other)
    # Once more ends nothing further.
    ended = await published(db, "identity.access.revoked")
    await erase(identity, session)
    assert await published(db, "identity.access.revoked") == ended


async def test_the_last_administrator_is_not_erased(
    call: Call, member: Callable[[], Awaitable[Json]], admin: Json, identity: Served, feed: RevocationFeed
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await erase(identity, admin)
    assert grpc_client.errors_from(refused.value).code == "administrator_is_last"
    await feed.read()
    assert (await call("GET", "/profile", admin))["email"] == "root@example.com"
    await change_access(call, admin, await member(), roles=["USER", "ADMIN"])
    await erase(identity, admin)
    await feed.read()
    await call("GET", "/profile", admin, 401)


async def test_a_token_with_other_roles_than_now_is_refused_and_a_refreshed_one_is_not(
    call: Call, member: Callable[[], Awaitable[Json]], admin: Json, feed: RevocationFeed
) -> None:
    session = await member()
    await change_access(call, admin, session, roles=["USER", "ADMIN"])
    await feed.read()
    assert (await call("GET", "/profile", session, 401))["code"] == "token_revoked"
    promoted = await call("POST", "/refresh", json={"refreshToken": session["refreshToken"]})
    await change_access(call, promoted, session, roles=["USER", "ADMIN", "SUPPORT"])
    await change_access(call, admin, session, roles=["USER"])
    await feed.read()
    for old in (session, promoted):
        await call("PUT", f"/{session['user']['_id']}/access", old, 401, json={"roles": ["ADMIN"]})
    again = await call("POST", "/refresh", json={"refreshToken": promoted["refreshToken"]})
    assert (await call("GET", "/profile", again))["roles"] == ["USER"]


async def test_each_end_is_announced_as_it_is_listed(
    call: Call, member: Callable[[], Awaitable[Json]], admin: Json, db: Database, identity: Served
) -> None:
    session = await member()
    await change_access(call, admin, session, roles=["USER", "SUPPORT"])
    await call("POST", "/logout", await call("POST", "/refresh", json={"refreshToken": session["refreshToken"]}))
    announced = [event for _, event in await published(db, "identity.access.revoked")]
    assert all(isinstance(event, AccessRevoked) for event in announced)
    user, ended = announced
    assert (user.user_id, user.user_version, user.session_id) == (session["user"]["_id"], 2, "")
    assert ended.session_id.startswith("ses_")
    assert (ended.user_id, ended.reason) == ("", "logged_out")
    stub = IdentityServiceStub(identity.channel("wallet"))  # type: ignore[no-untyped-call]
    first = await stub.ListRevocations(pb.ListRevocationsRequest(limit=1), timeout=2)
    rest = pb.ListRevocationsRequest(limit=1000, after_id=first.revocations[0].revocation_id)
    listed = [*first.revocations, *(await stub.ListRevocations(rest, timeout=2)).revocations]
    assert [(each.user_id, each.session_id, each.user_version) for each in listed] == [
        (each.user_id, each.session_id, each.user_version) for each in announced
    ]
    assert first.token_life_seconds == 900


async def test_a_replica_that_starts_learns_what_it_missed(
    call: Call,
    member: Callable[[], Awaitable[Json]],
    identity: Served,
    resources: Resources,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("common.revocation_feed.PAGE_SIZE", 2)
    for _ in range(5):
        await call("POST", "/logout", await member())
    stub = IdentityServiceStub(identity.channel("ledger"))  # type: ignore[no-untyped-call]
    fresh = Revocations()
    assert not fresh.is_current
    assert await RevocationFeed(fresh, ApiKeys(stub), stub).read()
    assert fresh.is_current
    assert len(fresh) == 5
    # Revocations older than every token are not listed, and deleted in time.
    clock.advance(seconds=2_000)
    later = Revocations()
    await RevocationFeed(later, ApiKeys(stub), stub).read()
    assert len(later) == 0
    await identity.run_job("delete_expired")
    async with resources.db.begin() as tx:
        assert (await tx.execute("select count(*) from revocations")).scalar() == 0


async def test_more_revocations_than_one_poll_reads_are_read_by_the_next(
    call: Call,
    member: Callable[[], Awaitable[Json]],
    identity: Served,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until all of them are read, nothing is current."""
    monkeypatch.setattr("common.revocation_feed.PAGE_SIZE", 2)
    monkeypatch.setattr("common.revocation_feed.PAGES_MAX", 1)
    for session in [await member() for _ in range(3)]:
        await call("POST", "/logout", session)
        clock.advance(seconds=40)
    revocations = Revocations()
    stub = IdentityServiceStub(identity.channel("ledger"))  # type: ignore[no-untyped-call]
    feed = RevocationFeed(revocations, ApiKeys(stub), stub)
    assert not await feed.read()
    assert (len(revocations), revocations.is_current) == (2, False)
    while not await feed.read():
        assert not revocations.is_current
    assert (len(revocations), revocations.is_current) == (3, True)


async def test_without_identity_nothing_is_current(resources: Resources) -> None:
    revocations = Revocations()
    stub = IdentityServiceStub(resources.channel("identity", "127.0.0.1:1"))  # type: ignore[no-untyped-call]
    assert not await RevocationFeed(revocations, ApiKeys(stub), stub).read()
    assert not revocations.is_current


async def test_staff_are_asked_about_at_the_moment_they_act(
    call: Call, member: Callable[[], Awaitable[Json]], admin: Json, identity: Served, resources: Resources
) -> None:
    session = await member()
    await change_access(call, admin, session, roles=["FINANCE"])
    session = await call("POST", "/refresh", json={"refreshToken": session["refreshToken"]})
    who = resources.user_tokens.verify(session["token"])
    authorizer = Authorizer(IdentityServiceStub(identity.channel("payment")))  # type: ignore[no-untyped-call]
    await authorizer.require(who, "refunds.approve")
    with pytest.raises(RightsOutdated):
        await authorizer.require(who, "users.manage")
    for ended in ({"roles": ["USER"]}, {"roles": ["FINANCE"], "status": "INACTIVE"}, {"status": "ACTIVE"}):
        await change_access(call, admin, session, **ended)
        with pytest.raises(RightsOutdated):
            # Switched on again, but the session has ended.
            await authorizer.require(who, "refunds.approve")


async def test_acts_are_answered_one_by_one(call: Call, admin: Json, identity: Served, resources: Resources) -> None:
    root = resources.user_tokens.verify(admin["token"])
    good = pb.Act(
        user_id=root.user_id,
        merchant_id="mer_commdesk",
        session_id=root.session_id,
        roles=["ADMIN", "FINANCE"],
        authenticated_unix_seconds=root.authenticated_at_seconds,
        methods=["pwd"],
    )

    def but(**changes: object) -> pb.Act:
        act = pb.Act.FromString(good.SerializeToString())
        for name, value in changes.items():
            act.ClearField(name)  # type: ignore[arg-type]
            act.MergeFrom(pb.Act(**{name: value}))  # type: ignore[arg-type]
        return act

    wrong = [
        but(user_id=ids.encode("usr", ids.new())),
        but(user_id="65f1c0ffee"),
        but(user_id=""),
        but(merchant_id="mer_other"),
        but(session_id=ids.encode("ses", ids.new())),
        but(session_id=""),
        but(session_id="ses_x"),
        but(roles=["FINANCE"]),
        but(roles=[]),
    ]
    stub = IdentityServiceStub(identity.channel("payment"))  # type: ignore[no-untyped-call]
    # A token that does not say when its user proved who they are, or says so of the far past, proves nothing.
    old = [but(authenticated_unix_seconds=seconds) for seconds in (0, -(2**63), root.authenticated_at_seconds - 901)]
    response = await stub.Authorize(pb.AuthorizeRequest(acts=[good, *wrong, *old, good]), timeout=2)
    refused = [result.error.code if result.HasField("error") else "" for result in response.results]
    assert refused == ["", *["rights_outdated"] * len(wrong), *["step_up_required"] * len(old), ""]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Authorize(pb.AuthorizeRequest(acts=[good] * 501), timeout=2)
    assert grpc_client.errors_from(caught.value).code == "limit_exceeded"


@pytest.mark.parametrize("caller", ["wallet", "webhook-ingest"])
async def test_only_services_with_such_acts_may_ask(identity: Served, caller: str) -> None:
    stub = IdentityServiceStub(identity.channel(caller))  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError, match="may not call"):
        await stub.Authorize(pb.AuthorizeRequest(), timeout=2)


async def test_asking_fails_closed(resources: Resources, call: Call, admin: Json) -> None:
    who = resources.user_tokens.verify(admin["token"])
    with pytest.raises(DomainError) as caught:
        await resources.authorizer("127.0.0.1:1").require(who, "users.manage")
    assert caught.value.code == "callee_unavailable"
