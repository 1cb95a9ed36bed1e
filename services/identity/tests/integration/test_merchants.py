"""Accounts with two environments, members, roles, invitations, the active merchant: over the real engines."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.events_pb2 import AccountMailRequested
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import grpc_client, ids
from common.api_keys import ApiKeys
from common.authorization import Authorizer
from common.clock import FakeClock
from common.database import Database
from common.errors import DomainError, RightsOutdated
from common.permissions import TABLE
from common.revocation_feed import RevocationFeed
from common.runtime import Resources
from common.seals import ACCOUNT_TOKEN, EMAIL
from common.testing import Served, published
from identity.settings import Settings
from services.identity.tests.integration.test_account_mails import claims_of
from services.identity.tests.integration.test_routes import audits

Json = dict[str, Any]
BuildForm = Callable[..., dict[str, str]]
Call = Callable[..., Awaitable[Json]]
Somebody = Callable[[], Awaitable[Json]]
PASSWORD = "correct horse battery"


@pytest.fixture
def clock() -> FakeClock:
    """Tokens are verified against the machine's clock: with this one behind, those of some minutes later are valid."""
    return FakeClock(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """An authentication suffices for a minute, a token is valid for fifteen."""
    return settings.model_copy(update={"step_up_seconds": 60})


@pytest.fixture
def call(http: httpx.AsyncClient) -> Call:
    async def call(method: str, path: str, session: Json | None = None, status: int = 200, **options: Any) -> Json:
        headers = {"Authorization": f"Bearer {session['token']}"} if session else {}
        response = await http.request(method, f"/api/v1{path}", headers=headers, **options)
        assert response.status_code == status, response.text
        document: Json = response.json()
        return document["data"] if status < 400 else document["error"]  # type: ignore[no-any-return]

    return call


@pytest.fixture
def feed(identity: Served, resources: Resources) -> RevocationFeed:
    stub = IdentityServiceStub(identity.channel("payment"))  # type: ignore[no-untyped-call]
    return RevocationFeed(resources.user_tokens.revocations, ApiKeys(stub), stub)


@pytest.fixture
def operator(identity: Served) -> IdentityServiceStub:
    return IdentityServiceStub(identity.channel("operator"))  # type: ignore[no-untyped-call]


@pytest.fixture
def somebody(call: Call, form: BuildForm) -> Somebody:
    """Somebody new, logged in."""

    async def somebody() -> Json:
        entered = form()
        await call("POST", "/users/signup", status=202, json=entered)
        return await log_in(call, entered["email"])

    return somebody


async def log_in(call: Call, email: str) -> Json:
    return await call("POST", "/users/login", json={"email": email, "password": PASSWORD})


async def switch(call: Call, session: Json, merchant_id: str, status: int = 200) -> Json:
    return await call("POST", "/users/switch", session, status, json={"merchantId": merchant_id})


async def make(call: Call, owner: Json, name: str = "Nandi Foods") -> Json:
    """The account, and its owner's session for the live environment, as `owner`."""
    account = await call("POST", "/merchants", owner, 201, json={"name": name})
    owner.update(await switch(call, owner, merchant_of(account)))
    return account


def merchant_of(account: Json, environment: str = "live") -> str:
    return next(each["merchantId"] for each in account["merchants"] if each["environment"] == environment)


async def invited(db: Database, email: str) -> str:
    """The token of the newest invitation to *email*."""
    mails = [event for _, event in await published(db, "email.account.invite")]
    assert all(isinstance(mail, AccountMailRequested) for mail in mails)
    mail = next(mail for mail in reversed(mails) if db.sealer.open(EMAIL, mail.email) == email)  # type: ignore[attr-defined]
    return db.sealer.open(ACCOUNT_TOKEN, mail.token)  # type: ignore[attr-defined]


async def join(call: Call, db: Database, owner: Json, member: Json, *roles: str) -> Json:
    """*member*'s session for the owner's merchant."""
    body = {"email": member["user"]["email"], "roles": [*roles]}
    await call("POST", "/invitations", owner, 201, json=body)
    await call("POST", "/invitations/accept", member, json={"token": await invited(db, body["email"])})
    return await switch(call, member, owner["merchantId"])


async def test_an_account_has_two_environments_and_its_maker_owns_it(
    call: Call, somebody: Somebody, db: Database
) -> None:
    owner = await somebody()
    assert (owner["merchantId"], owner["memberships"]) == ("mer_commdesk", [])
    profile = {"name": "Nandi Foods", "website": "https://nandi.example", "supportPhone": "080 4112 3456"}
    account = await call("POST", "/merchants", owner, 201, json=profile)
    live, test = (merchant_of(account, each) for each in ("live", "test"))
    assert live != test
    again = await log_in(call, owner["user"]["email"])
    assert [(each["merchantId"], each["environment"], each["roles"]) for each in again["memberships"]] == [
        (live, "live", ["OWNER"]),
        (test, "test", ["OWNER"]),
    ]
    assert (await call("GET", "/merchants", owner))["items"] == again["memberships"]
    [audit] = [each for each in await audits(db) if each.action == "account.created"]
    assert (audit.merchant_id, audit.resource_id, audit.actor_id) == (live, account["accountId"], owner["user"]["_id"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "evil.com"},
        {"website": "http://nandi.example"},
        {"website": "https://root@nandi.example"},
        {"logoUrl": "javascript:alert(1)"},
        {"supportEmail": "nobody"},
        {"supportPhone": "1"},
    ],
)
async def test_a_profile_that_is_wrong_is_refused(call: Call, somebody: Somebody, wrong: Json) -> None:
    error = await call("POST", "/merchants", await somebody(), 400, json={"name": "Nandi Foods"} | wrong)
    assert (error["code"], {*error["fields"]}) == ("merchant_invalid", {*wrong})


async def test_the_token_is_for_the_merchant_that_was_switched_to(call: Call, somebody: Somebody) -> None:
    owner = await somebody()
    before = owner["refreshToken"]
    account = await make(call, owner)
    live, test = (merchant_of(account, each) for each in ("live", "test"))
    claims = claims_of(owner["token"])
    assert (owner["merchantId"], claims["merchant_id"], claims["account_id"]) == (live, live, account["accountId"])
    assert (claims["member_roles"], claims["roles"]) == (["OWNER"], [])
    assert "permissions" not in claims
    # The session stays there, and what concerns the user alone still works.
    following = await call("POST", "/users/refresh", json={"refreshToken": owner["refreshToken"]})
    assert (following["merchantId"], claims_of(following["token"])["account_id"]) == (live, account["accountId"])
    stepped_up = await call("POST", "/users/step-up", following, json={"password": PASSWORD})
    assert stepped_up["merchantId"] == live
    assert (await call("GET", "/users/profile", stepped_up))["merchantId"] == "mer_commdesk"
    await call("PUT", "/users/update", stepped_up, json={"name": "Asha R."})
    assert len((await call("GET", "/users/sessions", stepped_up))["items"]) == 1
    in_test = await switch(call, stepped_up, test)
    assert (await call("GET", "/merchants/current", in_test))["environment"] == "test"
    home = await switch(call, in_test, "mer_commdesk")
    assert (home["merchantId"], claims_of(home["token"])["roles"]) == ("mer_commdesk", ["USER"])
    # A token from before a switch brings none of it.
    assert (await call("POST", "/users/refresh", status=401, json={"refreshToken": before}))["code"] == (
        "refresh_token_reused"
    )


async def test_nobody_switches_to_a_merchant_of_others(call: Call, somebody: Somebody) -> None:
    owner, stranger = await somebody(), await somebody()
    account = await make(call, owner)
    for merchant_id in (merchant_of(account), "mer_commdesk_test", "mer_x", ""):
        assert (await switch(call, stranger, merchant_id, 404))["code"] == "merchant_not_found"


async def test_the_platforms_roles_count_for_nothing_in_an_account(
    call: Call, somebody: Somebody, db: Database, resources: Resources
) -> None:
    owner, member = await somebody(), await somebody()
    await make(call, owner)
    viewer = await join(call, db, owner, member, "VIEWER")
    caller = resources.user_tokens.verify(viewer["token"])
    assert caller.permissions == TABLE.of_member({"VIEWER"})
    assert caller.is_privileged
    for method, path, body in (
        ("POST", "/invitations", {"email": "x@example.com", "roles": ["VIEWER"]}),
        ("PUT", f"/members/{owner['user']['_id']}", {"roles": ["VIEWER"]}),
        ("PUT", f"/users/{owner['user']['_id']}/access", {"roles": ["USER"]}),
    ):
        assert (await call(method, path, viewer, 403, json=body))["code"] == "role_missing"
    assert [each["roles"] for each in (await call("GET", "/members", viewer))["items"]] == [["OWNER"], ["VIEWER"]]


async def test_an_invitation_is_for_its_address_and_for_once(
    call: Call, somebody: Somebody, form: BuildForm, db: Database, clock: FakeClock
) -> None:
    owner, other = await somebody(), await somebody()
    await make(call, owner)
    entered = form()
    body = {"email": entered["email"].upper(), "roles": ["SUPPORT", "DEVELOPER"]}
    sent = await call("POST", "/invitations", owner, 201, json=body)
    assert (sent["status"], sent["invitedBy"]) == ("PENDING", owner["user"]["_id"])
    again = await call("POST", "/invitations", owner, 409, json=body)
    assert again["code"] == "invitation_pending"
    first = await invited(db, sent["email"])
    clock.advance(seconds=1)
    await call("POST", f"/invitations/{sent['invitationId']}/resend", owner)
    token = await invited(db, sent["email"])
    # Somebody else's, and the one that another has replaced.
    for session, wrong in ((other, token), (other, first)):
        error = await call("POST", "/invitations/accept", session, 400, json={"token": wrong})
        assert error["code"] == "invitation_invalid"
    await call("POST", "/users/signup", status=202, json=entered)
    member = await log_in(call, entered["email"])
    await call("POST", "/invitations/accept", member, 400, json={"token": first})
    await call("POST", "/invitations/accept", member, json={"token": token})
    await call("POST", "/invitations/accept", member, 400, json={"token": token})
    joined = await switch(call, member, owner["merchantId"])
    assert claims_of(joined["token"])["member_roles"] == ["DEVELOPER", "SUPPORT"]
    assert (await call("POST", "/invitations", owner, 409, json=body))["code"] == "member_exists"
    assert (await call("GET", "/invitations", owner))["items"] == []


async def test_invitations_end(call: Call, somebody: Somebody, db: Database, clock: FakeClock) -> None:
    """Declined, revoked, expired, and when their sender has to go or may do something else from then on."""
    owner, member = await somebody(), await somebody()
    await make(call, owner)
    body = {"email": member["user"]["email"], "roles": ["VIEWER"]}
    accept = {"json": {"token": ""}}

    async def send(session: Json = owner) -> Json:
        sent = await call("POST", "/invitations", session, 201, json=body)
        accept["json"]["token"] = await invited(db, body["email"])
        clock.advance(seconds=1)
        return sent

    await send()
    await call("POST", "/invitations/decline", json=accept["json"])
    await call("POST", "/invitations/decline", status=400, json=accept["json"])
    await call("POST", "/invitations/accept", member, 400, **accept)
    sent = await send()
    await call("DELETE", f"/invitations/{sent['invitationId']}", owner)
    await call("DELETE", f"/invitations/{sent['invitationId']}", owner, 404)
    await call("POST", "/invitations/accept", member, 400, **accept)
    admin = await join(call, db, owner, await somebody(), "ADMIN")
    await send(admin)
    await call("PUT", f"/members/{admin['user']['_id']}", owner, json={"roles": ["VIEWER"]})
    await call("POST", "/invitations/accept", member, 400, **accept)
    admin = await join(call, db, owner, await somebody(), "ADMIN")
    await send(admin)
    await call("DELETE", f"/members/{admin['user']['_id']}", owner)
    await call("POST", "/invitations/accept", member, 400, **accept)
    # The clock of the tokens goes on with it: what expires is looked at by the public end.
    sent = await send()
    clock.advance(seconds=604_800)
    await call("POST", "/invitations/decline", status=400, json=accept["json"])
    names = [each.action for each in await audits(db) if each.resource_type == "account"]
    assert names.count("member.invited") == 7
    assert {"member.declined", "invitation.revoked", "member.joined", "member.removed"} <= {*names}


async def test_an_address_and_an_account_get_so_many_invitations_an_hour(
    call: Call, somebody: Somebody, db: Database
) -> None:
    owner = await somebody()
    await make(call, owner)
    sent = await call("POST", "/invitations", owner, 201, json={"email": "x@example.com", "roles": ["VIEWER"]})
    path = f"/invitations/{sent['invitationId']}/resend"
    for _ in range(4):
        await call("POST", path, owner)
    assert (await call("POST", path, owner, 429))["code"] == "account_mails_throttled"


async def test_a_change_of_roles_ends_the_tokens_from_before(
    call: Call, somebody: Somebody, db: Database, feed: RevocationFeed
) -> None:
    owner, member = await somebody(), await somebody()
    await make(call, owner)
    joined = await join(call, db, owner, member, "FINANCE")
    path = f"/members/{member['user']['_id']}"
    assert (await call("PUT", path, owner, json={"roles": ["VIEWER"]}))["roles"] == ["VIEWER"]
    await feed.read()
    assert (await call("GET", "/members", joined, 401))["code"] == "token_revoked"
    following = await call("POST", "/users/refresh", json={"refreshToken": joined["refreshToken"]})
    assert claims_of(following["token"])["member_roles"] == ["VIEWER"]
    await call("DELETE", path, owner)
    await feed.read()
    await call("GET", "/members", following, 401)
    # The session goes on, for the user's own merchant.
    home = await call("POST", "/users/refresh", json={"refreshToken": following["refreshToken"]})
    assert (home["merchantId"], home["memberships"]) == ("mer_commdesk", [])
    assert (await switch(call, home, owner["merchantId"], 404))["code"] == "merchant_not_found"
    revoked = [event for _, event in await published(db, "identity.access.revoked")]
    assert [event.reason for event in revoked] == ["membership_changed"] * 2  # type: ignore[attr-defined]


async def test_nobody_gives_what_they_do_not_have_and_the_last_owner_stays(
    call: Call, somebody: Somebody, db: Database
) -> None:
    owner, second, third = await somebody(), await somebody(), await somebody()
    await make(call, owner)
    admin = await join(call, db, owner, second, "ADMIN")
    await join(call, db, owner, third, "VIEWER")
    own, others = f"/members/{owner['user']['_id']}", f"/members/{third['user']['_id']}"

    async def refused(method: str, path: str, code: str, status: int, session: Json = admin, **body: Any) -> None:
        options = {"json": body} if body else {}
        assert (await call(method, path, session, status, **options))["code"] == code

    await refused("PUT", others, "role_not_grantable", 403, roles=["OWNER"])
    await refused("PUT", own, "role_not_grantable", 403, roles=["VIEWER"])
    await refused("PUT", own, "role_not_grantable", 403, roles=["OWNER", "VIEWER"])
    await refused("DELETE", own, "role_not_grantable", 403)
    await refused("POST", "/invitations", "role_not_grantable", 403, email="x@example.com", roles=["OWNER"])
    await refused("PUT", others, "role_unknown", 400, roles=["KING"])
    await refused("PUT", others, "role_unknown", 400, roles=["rol_01J0000000000000000000000A"])
    await refused("PUT", others, "role_unknown", 400, roles=[])
    await refused("PUT", f"/members/{ids.encode('usr', ids.new())}", "member_not_found", 404, roles=["VIEWER"])
    for method, body in (("PUT", {"roles": ["ADMIN"]}), ("DELETE", {})):
        await refused(method, own, "owner_is_last", 409, owner, **body)
    await call("PUT", others, owner, json={"roles": ["OWNER"]})
    await call("DELETE", own, owner)


async def test_two_owners_who_leave_at_once_see_each_other_go(call: Call, somebody: Somebody, db: Database) -> None:
    owner, member = await somebody(), await somebody()
    await make(call, owner)
    other = await join(call, db, owner, member, "OWNER")
    left = await asyncio.gather(
        *(leave(call, session) for session in (owner, other)),
    )
    assert sorted(left) == ["", "owner_is_last"]


async def leave(call: Call, session: Json) -> str:
    try:
        await call("DELETE", f"/members/{session['user']['_id']}", session)
    except AssertionError as refused:
        return next((code for code in ("owner_is_last", "rights_outdated") if code in str(refused)), str(refused))
    return ""


async def test_roles_of_the_account_are_sets_of_permissions(
    call: Call, somebody: Somebody, db: Database, feed: RevocationFeed, resources: Resources
) -> None:
    owner, second, third = await somebody(), await somebody(), await somebody()
    await make(call, owner)
    body = {"name": "Refunds desk", "permissions": ["refunds.create", "payments.read", "roles.manage"]}
    role = await call("POST", "/roles", owner, 201, json=body)
    assert (role["isCustom"], role["permissions"]) == (True, sorted(body["permissions"]))
    clerk = await join(call, db, owner, second, role["roleId"], "VIEWER")
    caller = resources.user_tokens.verify(clerk["token"])
    assert caller.permissions == TABLE.of_member({"VIEWER"}) | {"refunds.create", "roles.manage"}
    assert caller.member_roles == {"VIEWER"}

    async def refused(code: str, status: int, session: Json, **body: Any) -> None:
        assert (await call("POST", "/roles", session, status, json=body))["code"] == code

    await refused("role_not_grantable", 403, clerk, name="More", permissions=["refunds.approve"])
    await refused("permission_unknown", 400, owner, name="More", permissions=["users.manage"])
    await refused("permission_unknown", 400, owner, name="More", permissions=[])
    await refused("role_invalid", 400, owner, name="owner", permissions=["payments.read"])
    await refused("role_invalid", 400, owner, name="refunds DESK", permissions=["payments.read"])
    path = f"/roles/{role['roleId']}"
    assert (await call("DELETE", path, owner, 409))["code"] == "role_in_use"
    await call("PUT", path, owner, json={"permissions": ["payments.read"]})
    await feed.read()
    assert (await call("GET", "/roles", clerk, 401))["code"] == "token_revoked"
    following = await call("POST", "/users/refresh", json={"refreshToken": clerk["refreshToken"]})
    assert resources.user_tokens.verify(following["token"]).permissions == TABLE.of_member({"VIEWER"})
    await call("PUT", f"/members/{second['user']['_id']}", owner, json={"roles": ["VIEWER"]})
    await call("DELETE", path, owner)
    await call("DELETE", path, owner, 404)
    # One account's roles are nobody else's.
    await make(call, third)
    elsewhere = await call("POST", "/roles", third, 201, json=body)
    assert (await call("PUT", f"/roles/{elsewhere['roleId']}", owner, 404, json={}))["code"] == "role_not_found"
    error = await call("PUT", f"/members/{second['user']['_id']}", owner, 400, json={"roles": [elsewhere["roleId"]]})
    assert error["code"] == "role_unknown"


async def test_identity_looks_the_membership_up_before_an_act(
    call: Call, somebody: Somebody, db: Database, identity: Served, resources: Resources
) -> None:
    owner, member = await somebody(), await somebody()
    await make(call, owner)
    finance = await join(call, db, owner, member, "FINANCE")
    stub = IdentityServiceStub(identity.channel("payment"))  # type: ignore[no-untyped-call]
    authorizer = Authorizer(stub)
    caller = resources.user_tokens.verify(finance["token"])
    await authorizer.require(caller, "refunds.approve")
    with pytest.raises(RightsOutdated):
        await authorizer.require(caller, "members.manage")
    with pytest.raises(RightsOutdated):  # the platform's: no membership gives it
        await authorizer.require(caller, "users.manage")
    await call("PUT", f"/members/{member['user']['_id']}", owner, json={"roles": ["VIEWER"]})
    with pytest.raises(RightsOutdated):
        await authorizer.require(caller, "refunds.approve")
    # A platform role is no membership, and a caller of an older release, which names roles alone, gets nothing by it.
    act = pb.Act(
        user_id=caller.user_id, merchant_id=caller.merchant_id, session_id=caller.session_id, roles=["USER"],
        authenticated_unix_seconds=caller.authenticated_at_seconds, methods=["pwd"],
    )  # fmt: skip
    [result] = (await stub.Authorize(pb.AuthorizeRequest(acts=[act]), timeout=2)).results
    assert result.error.code == "rights_outdated"


async def test_rights_change_after_a_step_up_only(
    call: Call, somebody: Somebody, db: Database, clock: FakeClock
) -> None:
    owner = await somebody()
    await make(call, owner)
    clock.advance(seconds=61)
    owner = await call("POST", "/users/refresh", json={"refreshToken": owner["refreshToken"]})
    body = {"email": "x@example.com", "roles": ["VIEWER"]}
    for method, path, sent in (
        ("POST", "/invitations", body),
        ("PUT", "/merchants/current", {"name": "Nandi"}),
        ("POST", "/roles", {"name": "R", "permissions": ["payments.read"]}),
        ("DELETE", f"/members/{owner['user']['_id']}", None),
    ):
        assert (await call(method, path, owner, 403, json=sent))["code"] == "step_up_required"
    owner = await call("POST", "/users/step-up", owner, json={"password": PASSWORD})
    await call("POST", "/invitations", owner, 201, json=body)
    await call("PUT", "/merchants/current", owner, json={"name": "Nandi", "logoUrl": None})
    assert (await call("GET", "/merchants/current", owner))["name"] == "Nandi"


async def test_a_suspended_account_gets_no_tokens(
    call: Call, somebody: Somebody, operator: IdentityServiceStub, feed: RevocationFeed, db: Database
) -> None:
    owner = await somebody()
    account = await make(call, owner)

    async def set_status(status: str) -> pb.AccountResult:
        request = pb.SetAccountStatusRequest(
            references=[merchant_of(account)], status=status, actor="operator:test", reason="asked to"
        )
        [result] = (await operator.SetAccountStatus(request, timeout=2)).results
        return result

    assert (await set_status("SUSPENDED")).account.status == "SUSPENDED"
    await feed.read()
    assert (await call("GET", "/members", owner, 401))["code"] == "token_revoked"
    home = await call("POST", "/users/refresh", json={"refreshToken": owner["refreshToken"]})
    assert home["merchantId"] == "mer_commdesk"
    assert (await switch(call, home, merchant_of(account), 403))["code"] == "merchant_suspended"
    asked = pb.GetMerchantsRequest(merchant_ids=[merchant_of(account, "test")])
    [merchant] = (await operator.GetMerchants(asked, timeout=2)).merchants
    assert (merchant.status, merchant.environment, merchant.name) == ("SUSPENDED", "test", "Nandi Foods")
    await set_status("ACTIVE")
    assert (await switch(call, home, merchant_of(account)))["merchantId"] == merchant_of(account)
    names = [each.action for each in await audits(db)]
    assert {"account.suspended", "account.resumed"} <= {*names}


async def test_an_operator_makes_lists_and_shows_accounts(
    call: Call, somebody: Somebody, operator: IdentityServiceStub
) -> None:
    owner = await somebody()
    new = [
        pb.NewAccount(name="Nandi Foods", owner_email=owner["user"]["email"].upper()),
        pb.NewAccount(name="Nandi Foods", owner_email="nobody@example.com"),
        pb.NewAccount(name="", owner_email=owner["user"]["email"]),
    ]
    request = pb.CreateAccountsRequest(accounts=new, actor="operator:test")
    made, *refused = (await operator.CreateAccounts(request, timeout=2)).results
    assert [each.error.code for each in refused] == ["user_not_found", "merchant_invalid"]
    live = next(each.merchant_id for each in made.account.merchants if each.environment == "live")
    shown = await operator.GetAccount(pb.GetAccountRequest(reference=live), timeout=2)
    assert [(each.user_id, [*each.roles]) for each in shown.members] == [(owner["user"]["_id"], ["OWNER"])]
    listed = (await operator.ListAccounts(pb.ListAccountsRequest(), timeout=2)).accounts
    assert {each.account_id for each in listed} == {"acc_commdesk", made.account.account_id}
    # CommDesk's own two are there from the beginning.
    commdesk = next(each for each in listed if each.account_id == "acc_commdesk")
    assert {(each.merchant_id, each.environment) for each in commdesk.merchants} == {
        ("mer_commdesk", "live"),
        ("mer_commdesk_test", "test"),
    }
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await operator.CreateAccounts(pb.CreateAccountsRequest(accounts=new), timeout=2)
    refusal: DomainError = grpc_client.errors_from(error.value)
    assert refusal.code == "request_invalid"


async def test_a_user_belongs_to_so_many_accounts(call: Call, somebody: Somebody) -> None:
    owner = await somebody()
    for number in range(20):
        await call("POST", "/merchants", owner, 201, json={"name": f"Shop {number}"})
    assert (await call("POST", "/merchants", owner, 429, json={"name": "One more"}))["code"] == "accounts_too_many"
