"""Second factors and stepping up, over the real engines: enrol, confirm, log in, step up, remove."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import httpx
import pytest

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import grpc_client, ids
from common.authorization import Authorizer
from common.clock import FakeClock
from common.database import Database
from common.errors import DomainError, SecondFactorMissing, StepUpRequired
from common.runtime import Resources, Service
from common.testing import Served
from common.tokens import read_jwks
from identity.__main__ import create_admin, service
from identity.domain.second_factors import code_of, step_at
from identity.settings import Settings
from identity.use_cases.sessions import delete_expired
from services.identity.tests.integration.test_account_mails import claims_of, token
from services.identity.tests.integration.test_routes import actions, audits, call, refresh

Json = dict[str, Any]
BuildForm = Callable[..., dict[str, str]]
Bearer = Callable[[Json], dict[str, str]]
Serve = Callable[[Service], AbstractAsyncContextManager[Served]]
Post = Callable[..., Awaitable[Json]]

PASSWORD = "an administrator's"
ROOT = "root@example.com"
FACTOR = "/second-factor"


@pytest.fixture
def clock() -> FakeClock:
    """Tokens are verified against the machine's clock: with this one behind, those of some minutes later are valid."""
    return FakeClock(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """An authentication suffices for a minute, a token is valid for fifteen."""
    return settings.model_copy(update={"step_up_seconds": 60})


@pytest.fixture
def post(http: httpx.AsyncClient, bearer: Bearer) -> Post:
    async def post(path: str, session: Json | None = None, status: int = 200, **body: Any) -> Json:
        headers = bearer(session) if session else {}
        return await call(http, "POST", f"/api/v1/users{path}", status=status, json=body, headers=headers)

    return post


@pytest.fixture
async def root(post: Post, settings: Settings) -> Json:
    await create_admin(settings, ROOT, "Root", PASSWORD)
    return await log_in(post)


async def log_in(post: Post, status: int = 200, **more: str) -> Json:
    return await post("/login", None, status, email=ROOT, password=PASSWORD, **more)


async def enrol(post: Post, session: Json, clock: FakeClock) -> tuple[bytes, list[str]]:
    """The confirmed secret, and the recovery codes; the code of this step is used."""
    enrolment = await post(FACTOR, session, 201, password=PASSWORD)
    secret = base64.b32decode(enrolment["secret"])
    assert enrolment["url"].startswith("otpauth://totp/CommDesk:root%40example.com?secret=" + enrolment["secret"])
    codes = (await post(f"{FACTOR}/confirm", session, code=now_code(secret, clock)))["recoveryCodes"]
    clock.advance(seconds=30)
    return secret, codes


def now_code(secret: bytes, clock: FakeClock) -> str:
    return code_of(secret, step_at(clock.now()))


async def promote(http: httpx.AsyncClient, headers: dict[str, str], target: str, status: int = 200) -> Json:
    body = {"roles": ["USER", "SUPPORT"]}
    return await call(http, "PUT", f"/api/v1/users/{target}/access", status=status, json=body, headers=headers)


async def test_from_enrolment_to_removal(post: Post, root: Json, clock: FakeClock, db: Database) -> None:
    assert claims_of(root["token"])["amr"] == ["pwd"]
    assert (await post(FACTOR, root, 403, password="a wrong guess"))["code"] == "password_wrong"
    assert (await post(f"{FACTOR}/confirm", root, 404, code="000000"))["code"] == "second_factor_not_found"
    enrolment = await post(FACTOR, root, 201, password=PASSWORD)
    assert (await post(f"{FACTOR}/confirm", root, 403, code="12345"))["code"] == "second_factor_invalid"
    await log_in(post)  # it does not count before it is confirmed
    secret, codes = await enrol(post, root, clock)
    assert base64.b32decode(enrolment["secret"]) != secret
    assert (len(set(codes)), {len(code) for code in codes}) == (10, {19})
    assert (await post(FACTOR, root, 409, password=PASSWORD))["code"] == "second_factor_exists"

    assert (await log_in(post, 401))["code"] == "second_factor_required"
    code = now_code(secret, clock)
    session = await log_in(post, code=code)
    claims = claims_of(session["token"])
    assert (claims["amr"], claims["auth_time"]) == (["otp", "pwd"], int(clock.now().timestamp()))
    assert (await log_in(post, 403, code=code))["code"] == "second_factor_invalid"
    await log_in(post, code=codes[0].upper())
    assert (await log_in(post, 403, code=codes[0]))["code"] == "second_factor_invalid"
    # A wrong password says nothing of the second factor.
    wrong = await post("/login", None, 401, email=ROOT, password="a wrong guess", code=codes[1])
    assert wrong["code"] == "credentials_invalid"

    clock.advance(seconds=900)
    assert (await post(f"{FACTOR}/remove", root, 403, password=PASSWORD, code=code))["code"] == "second_factor_invalid"
    await post(f"{FACTOR}/remove", root, password=PASSWORD, code=codes[1])
    assert (await log_in(post, 403, code=codes[2]))["code"] == "second_factor_invalid"
    await log_in(post)
    assert [each for each in await actions(db) if "second_factor" in each] == [
        "user.second_factor_added",
        "user.second_factor_removed",
    ]


async def test_one_code_opens_one_session_however_many_try_at_once(
    post: Post, http: httpx.AsyncClient, root: Json, clock: FakeClock
) -> None:
    secret, _ = await enrol(post, root, clock)
    body = {"email": ROOT, "password": PASSWORD, "code": now_code(secret, clock)}
    answers = await asyncio.gather(*(http.post("/api/v1/users/login", json=body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403]


async def test_codes_are_guessed_at_as_slowly_as_passwords(post: Post, root: Json, clock: FakeClock) -> None:
    secret, _ = await enrol(post, root, clock)
    wrong = "000000" if now_code(secret, clock) != "000000" else "000001"
    for _ in range(3):  # the enrolment and its confirmation were the first attempts
        await log_in(post, 403, code=wrong)
    assert (await log_in(post, 429, code=now_code(secret, clock)))["code"] == "login_throttled"


async def test_the_code_of_an_enrolment_is_guessed_at_as_slowly(post: Post, root: Json, clock: FakeClock) -> None:
    """With a stolen access token: the right code would get the recovery codes as well."""
    secret = base64.b32decode((await post(FACTOR, root, 201, password=PASSWORD))["secret"])
    code = now_code(secret, clock)
    for _ in range(4):  # the enrolment was the first attempt
        assert (await post(f"{FACTOR}/confirm", root, 403, code="12345"))["code"] == "second_factor_invalid"
    assert (await post(f"{FACTOR}/confirm", root, 429, code=code))["code"] == "login_throttled"


async def test_an_enrolment_is_confirmed_within_ten_minutes(
    post: Post, root: Json, clock: FakeClock, db: Database
) -> None:
    for seconds, status in ((599, 200), (600, 404)):
        secret = base64.b32decode((await post(FACTOR, root, 201, password=PASSWORD))["secret"])
        clock.advance(seconds=seconds)
        await delete_expired(db, clock, timedelta(minutes=15))
        answer = await post(f"{FACTOR}/confirm", root, status, code=now_code(secret, clock))
        if status == 200:
            body = {"password": PASSWORD, "code": answer["recoveryCodes"][0]}
            clock.advance(seconds=86_400)
            await delete_expired(db, clock, timedelta(minutes=15))
            await post(f"{FACTOR}/remove", root, **body)
        else:
            assert answer["code"] == "second_factor_not_found"
    clock.advance(seconds=1)
    await delete_expired(db, clock, timedelta(minutes=15))
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from second_factors")).scalar() == 0


async def test_whose_address_it_is_takes_it_back_from_a_stranger_with_a_second_factor(
    post: Post, clock: FakeClock, form: BuildForm, db: Database
) -> None:
    """Who signed up with it and enrolled keeps nothing. Of an address that is verified the factor stays."""
    await post("/signup", None, 202, **form(email=ROOT, password=PASSWORD))
    stranger = await log_in(post)
    await enrol(post, stranger, clock)
    new = "monsoon ferry 91"
    for number in (1, 2):
        await post("/password/forgot", None, 202, email=ROOT)
        reset = {"token": await token(db, "reset", number), "password": new, "confirmPassword": new}
        await post("/password/reset", None, 200, **reset)
        owner = await post("/login", None, 200 if number == 1 else 401, email=ROOT, password=new)
        if number == 1:
            enrolment = await post(FACTOR, owner, 201, password=new)
            code = now_code(base64.b32decode(enrolment["secret"]), clock)
            await post(f"{FACTOR}/confirm", owner, code=code)
    assert owner["code"] == "second_factor_required"
    assert [each for each in await actions(db) if "factor" in each or each == "user.password_reset"] == [
        "user.second_factor_added",
        "user.password_reset",
        "user.second_factor_removed",
        "user.second_factor_added",
        "user.password_reset",
    ]


async def test_a_stranger_who_signed_up_with_the_address_gets_no_verified_account(
    settings: Settings,
    resources: Resources,
    serve: Serve,
    clock: FakeClock,
    form: BuildForm,
    bearer: Bearer,
    db: Database,
) -> None:
    """The owner follows the link that the stranger's sign-up caused. Were it to verify, the stranger would enrol, and
    the factor of a verified address stays.
    """
    required = settings.model_copy(update={"email_verification": "required"})
    async with service(required, resources) as value, serve(value) as served:

        async def post(path: str, status: int = 200, **body: str) -> Json:
            return await call(served.http, "POST", f"/api/v1/users{path}", status=status, json=body)

        await post("/signup", 202, **form(email=ROOT, password=PASSWORD))
        new = "monsoon ferry 91"
        clicked = await post("/email/verify", 403, token=await token(db, "verify"), password=new)
        assert clicked["code"] == "password_wrong"
        assert (await post("/login", 401, email=ROOT, password=PASSWORD))["code"] == "credentials_invalid"
        await post("/password/forgot", 202, email=ROOT)
        await post("/password/reset", token=await token(db, "reset"), password=new, confirmPassword=new)
        await post("/login", email=ROOT, password=new)


async def test_an_operator_removes_a_lost_factor(
    post: Post, http: httpx.AsyncClient, root: Json, clock: FakeClock, identity: Served, db: Database
) -> None:
    await enrol(post, root, clock)
    stub = IdentityServiceStub(identity.channel("operator"))  # type: ignore[no-untyped-call]
    request = pb.RemoveSecondFactorsRequest(
        user_ids=[root["user"]["_id"], ids.encode("usr", ids.new()), "nonsense"],
        actor="operator:mira",
        reason="phone stolen, known by face",
    )
    for incomplete in ({"actor": " "}, {"reason": ""}):
        wrong = pb.RemoveSecondFactorsRequest(user_ids=request.user_ids, **({"actor": "a", "reason": "r"} | incomplete))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RemoveSecondFactors(wrong, timeout=2)
        assert grpc_client.errors_from(refused.value).code == "request_invalid"
    for code in ("", "second_factor_not_found"):
        results = (await stub.RemoveSecondFactors(request, timeout=2)).results
        assert [result.error.code for result in results] == [code, "user_not_found", "user_not_found"]
    # Who found the device may have logged in.
    await refresh(http, root["refreshToken"], status=401)
    await log_in(post)
    [removed] = [audit for audit in await audits(db) if audit.action == "user.second_factor_removed"]
    assert (removed.actor_id, removed.resource_id) == ("operator:mira", root["user"]["_id"])
    assert json.loads(removed.after_json) == {"reason": "phone stolen, known by face"}


async def test_secrets_and_recovery_codes_do_not_stand_in_plain(
    post: Post, root: Json, clock: FakeClock, superuser_url: str
) -> None:
    secret, codes = await enrol(post, root, clock)
    connection = await asyncpg.connect(superuser_url)
    row = str(await connection.fetchrow("select * from identity.second_factors"))
    await connection.close()
    assert "s1.t1." in row
    assert base64.b32encode(secret).decode() not in row
    assert not [code for code in codes if code in row or code.replace("-", "") in row]


async def test_rights_are_changed_after_stepping_up(
    post: Post, http: httpx.AsyncClient, root: Json, clock: FakeClock, form: BuildForm, bearer: Bearer, db: Database
) -> None:
    """An old authentication, then a session without the second factor that the account has got: both step up.

    What a token may do was proved for that token: one from before, which may have been stolen, is lifted by nothing.
    """
    member = form()
    await post("/signup", None, 202, **member)
    target = (await post("/login", None, email=member["email"], password=member["password"]))["user"]["_id"]
    await promote(http, bearer(root), target)
    clock.advance(seconds=61)
    refreshed = await refresh(http, root["refreshToken"])  # which is no authentication
    assert (await promote(http, bearer(refreshed), target, 403))["code"] == "step_up_required"
    assert (await post("/step-up", refreshed, 403, password="a wrong guess"))["code"] == "password_wrong"
    once = await post("/step-up", refreshed, password=PASSWORD)
    for before in (root, refreshed):
        assert (await promote(http, bearer(before), target, 403))["code"] == "step_up_required"
    await promote(http, bearer(once), target)

    secret, _ = await enrol(post, once, clock)
    assert (await promote(http, bearer(once), target, 403))["code"] == "step_up_required"
    assert (await post("/step-up", once, 401, password=PASSWORD))["code"] == "second_factor_required"
    assert (await post("/step-up", once, 403, password=PASSWORD, code="abc"))["code"] == "second_factor_invalid"
    assert (await promote(http, bearer(once), target, 403))["code"] == "step_up_required"
    twice = await post("/step-up", once, password=PASSWORD, code=now_code(secret, clock))
    assert claims_of(twice["token"])["amr"] == ["otp", "pwd"]
    assert (await promote(http, bearer(once), target, 403))["code"] == "step_up_required"
    await promote(http, bearer(twice), target)
    following = await refresh(http, twice["refreshToken"])
    await promote(http, bearer(following), target)
    assert (await actions(db)).count("user.stepped_up") == 2


async def test_a_refresh_token_from_before_a_step_up_ends_the_session(
    post: Post, http: httpx.AsyncClient, root: Json, db: Database
) -> None:
    """At once: it gets no token that says what the user has proved."""
    stepped_up = await post("/step-up", root, password=PASSWORD)
    assert (await refresh(http, root["refreshToken"], status=401))["code"] == "refresh_token_reused"
    await refresh(http, stepped_up["refreshToken"], status=401)
    assert (await actions(db))[-1] == "user.refresh_token_reused"


async def test_other_services_acts_demand_it_too(
    post: Post, root: Json, clock: FakeClock, identity: Served, resources: Resources
) -> None:
    authorizer = Authorizer(IdentityServiceStub(identity.channel("payment")))  # type: ignore[no-untyped-call]
    who = resources.user_tokens.verify(root["token"])
    await authorizer.require(who, "users.manage")
    clock.advance(seconds=61)
    stepped_up = None
    for _ in range(2):
        with pytest.raises(StepUpRequired):
            await authorizer.require(who, "users.manage")
        stepped_up = stepped_up or await post("/step-up", root, password=PASSWORD)
    await authorizer.require(resources.user_tokens.verify(stepped_up["token"]), "users.manage")


async def test_staff_without_a_second_factor_may_not_act_where_it_is_required(
    settings: Settings, resources: Resources, serve: Serve, clock: FakeClock, bearer: Bearer
) -> None:
    """As in production. They log in, and enrol."""
    required = settings.model_copy(update={"staff_second_factor": "required"})
    await create_admin(settings, ROOT, "Root", PASSWORD)
    async with service(required, resources) as value, serve(value) as served:
        key_set = await served.http.get("/.well-known/jwks.json")
        resources.user_tokens.accept(read_jwks(key_set.content))

        async def post(path: str, session: Json | None = None, status: int = 200, **body: Any) -> Json:
            headers = bearer(session) if session else {}
            return await call(served.http, "POST", f"/api/v1/users{path}", status=status, json=body, headers=headers)

        root = await log_in(post)
        authorizer = Authorizer(IdentityServiceStub(served.channel("payment")))  # type: ignore[no-untyped-call]
        who = resources.user_tokens.verify(root["token"])
        refused: list[type[DomainError]] = []
        for _ in range(2):
            with pytest.raises(DomainError) as error:
                await authorizer.require(who, "users.manage")
            refused.append(error.type)
            if len(refused) == 1:
                secret, _ = await enrol(post, root, clock)
        assert refused == [SecondFactorMissing, StepUpRequired]
        stepped_up = await post("/step-up", root, password=PASSWORD, code=now_code(secret, clock))
        await authorizer.require(resources.user_tokens.verify(stepped_up["token"]), "users.manage")


async def test_a_session_that_has_ended_does_not_step_up(post: Post, root: Json) -> None:
    await post("/logout", root)
    assert (await post("/step-up", root, 404, password=PASSWORD))["code"] == "session_not_found"
