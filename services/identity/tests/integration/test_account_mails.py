"""Verified addresses and new passwords by mail; the same answers whether there is such an account or not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import jwt
import msgspec
import pytest

from commdesk.identity.v1.events_pb2 import AccountMailRequested
from common.clock import FakeClock
from common.context import Context
from common.database import Database
from common.runtime import Resources, Service
from common.testing import Served, published, until
from identity.__main__ import service
from identity.domain.errors import PasswordWrong
from identity.settings import Settings
from identity.store import queries
from identity.use_cases.account_mails import token_hash
from identity.use_cases.email_verifications import Verification, verify_addresses
from identity.use_cases.sessions import delete_expired
from services.identity.tests.integration.test_routes import actions, call, log_in, refresh, sign_up

Json = dict[str, Any]
BuildForm = Callable[..., dict[str, str]]
Bearer = Callable[[Json], dict[str, str]]
Serve = Callable[[Service], AbstractAsyncContextManager[Served]]

# The password of those who sign up here, and another.
OWN = {"password": "correct horse battery"}
NEW = {"password": "monsoon ferry 91", "confirmPassword": "monsoon ferry 91"}
RESEND, FORGOT = "/api/v1/users/email/resend", "/api/v1/users/password/forgot"


async def mails(db: Database, kind: str) -> list[AccountMailRequested]:
    return [event for _, event in await published(db, f"email.account.{kind}")]  # type: ignore[misc]


async def token(db: Database, kind: str, number: int = 1) -> str:
    """Of the last mail of a kind, once there are *number*."""

    async def arrived() -> bool:
        return len(await mails(db, kind)) >= number

    await until(arrived)
    return db.sealer.open("account_token", (await mails(db, kind))[-1].token)


def claims_of(access_token: str) -> Json:
    claims: Json = jwt.decode(access_token, options={"verify_signature": False})
    return claims


async def post(http: httpx.AsyncClient, path: str, status: int = 200, **body: str) -> Json:
    return await call(http, "POST", f"/api/v1/users{path}", status=status, json=body)


async def verify(
    http: httpx.AsyncClient, mailed: str, status: int = 200, password: str = "correct horse battery"
) -> Json:
    return await post(http, "/email/verify", status, token=mailed, password=password)


@asynccontextmanager
async def strict(settings: Settings, resources: Resources, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """As in production: an account is logged in to after its address is verified."""
    required = settings.model_copy(update={"email_verification": "required"})
    async with service(required, resources) as value, serve(value) as served:
        yield served.http


async def test_an_address_is_verified_by_the_mailed_token_once(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, db: Database
) -> None:
    session = await sign_up(http, form, email="asha@example.com")
    [mail] = await mails(db, "verify")
    assert all(value.startswith("s1.") for value in (mail.email, mail.token))
    assert db.sealer.open("email", mail.email) == "asha@example.com"
    mailed = await token(db, "verify")
    for wrong in ("", "x", mailed[:-1], mailed + "A", "\u0416", "x" * 10_000):
        assert (await verify(http, wrong, 400))["code"] == "account_token_invalid"
    assert not claims_of(session["token"])["email_verified"]
    await verify(http, mailed)
    assert (await verify(http, mailed, 400))["code"] == "account_token_invalid"
    following = await refresh(http, session["refreshToken"])
    assert claims_of(following["token"])["email_verified"] is True
    profile = await call(http, "GET", "/api/v1/users/profile", headers=bearer(following))
    assert profile["isEmailVerified"] is True
    assert (await actions(db)).count("user.email_verified") == 1


async def test_no_mail_carries_a_name_to_an_address_that_is_not_verified(
    http: httpx.AsyncClient, form: BuildForm, db: Database
) -> None:
    """Of whatever kind: a stranger has written it. The owner of a verified address is greeted by name."""
    person = form(email="asha@example.com", name="URGENT: pay Rs 500 to the UPI id help at okbank")
    for number, names in ((1, ["", "", ""]), (2, ["", person["name"], person["name"]])):
        if number == 2:
            await verify(http, await token(db, "verify"))
        for _ in range(2):
            await call(http, "POST", "/api/v1/users/signup", status=202, json=person)
        await post(http, "/password/forgot", 202, email="asha@example.com")
        await token(db, "reset", number)
        newest = [(await mails(db, kind))[-1] for kind in ("verify", "exists", "reset")]
        assert [db.sealer.open("name", mail.name) for mail in newest] == names


async def test_the_same_token_at_once_is_good_for_once(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    await sign_up(http, form)
    body = {"token": await token(db, "verify")} | OWN
    answers = await asyncio.gather(*(http.post("/api/v1/users/email/verify", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 4


async def test_the_token_without_the_password_verifies_nothing(
    http: httpx.AsyncClient, form: BuildForm, db: Database
) -> None:
    """The owner of the address follows the link of a mail that a stranger's sign-up caused, and knows no password."""
    await sign_up(http, form, email="asha@example.com")
    mailed = await token(db, "verify")
    assert (await post(http, "/email/verify", 400, token=mailed))["code"] == "request_invalid"
    for _ in range(4):
        assert (await verify(http, mailed, 403, "the owner's own"))["code"] == "password_wrong"
    await verify(http, mailed)
    # Its success is no further guess, as that of a login.
    for _ in range(5):
        await log_in(http, "asha@example.com", "the owner's own", status=401)


async def test_passwords_are_guessed_at_as_slowly_with_the_token(
    http: httpx.AsyncClient, form: BuildForm, db: Database
) -> None:
    await sign_up(http, form, email="asha@example.com")
    mailed = await token(db, "verify")
    for _ in range(5):
        await verify(http, mailed, 403, "a wrong guess")
    assert (await verify(http, mailed, 429))["code"] == "login_throttled"


async def test_a_password_that_changes_meanwhile_verifies_nothing(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, db: Database, clock: FakeClock
) -> None:
    session = await sign_up(http, form, email="asha@example.com")
    async with db.begin() as tx:
        [user] = (await queries.users_by_email(tx, {("mer_commdesk", "asha@example.com")})).values()
    body = {"currentPassword": OWN["password"]} | NEW
    await call(http, "PUT", "/api/v1/users/password", json=body, headers=bearer(session))
    verification = Verification(token_hash(await token(db, "verify")), user, Context())
    assert [type(each) for each in await verify_addresses(db, clock, [verification])] == [PasswordWrong]


async def test_no_answer_tells_whether_an_address_has_an_account(
    settings: Settings, resources: Resources, serve: Serve, form: BuildForm, db: Database
) -> None:
    """Sign-up, login, forgotten password and resend, with an address that has an account and with one that has none."""
    async with strict(settings, resources, serve) as http:
        known, unknown = form(email="asha@example.com"), form(email="ravi@example.com")
        await call(http, "POST", "/api/v1/users/signup", status=202, json=known)

        async def answers(body: dict[str, str]) -> list[tuple[int, Json]]:
            email, password = body["email"], body["password"]
            stranger = {"email": email, "password": "somebody else's"}
            # Logged in to with the password that was just signed up with: for one of them it is right.
            bodies = [(FORGOT, {"email": email}), (RESEND, {"email": email}),
                      ("/api/v1/users/login", stranger),
                      ("/api/v1/users/signup", form(email=email, password=password)),
                      ("/api/v1/users/login", {"email": email, "password": password})]  # fmt: skip
            responses = [await http.post(path, json=body) for path, body in bodies]
            return [(each.status_code, _anonymous(each.json(), email)) for each in responses]

        of_unknown = await answers(unknown | {"password": "another one 77"})
        assert await answers(known | {"password": "another one 77"}) == of_unknown
        assert [status for status, _ in of_unknown] == [202, 202, 401, 202, 401]
    # The difference is in the owner's inbox.
    [about] = await mails(db, "exists")
    assert db.sealer.open("email", about.email) == "asha@example.com"
    assert about.token == ""


def _anonymous(document: Json, email: str) -> Json:
    text = msgspec.json.encode(document).decode().replace(email, "<email>")
    decoded: Json = msgspec.json.decode(text)
    if "error" in decoded:
        del decoded["error"]["requestId"]
    return decoded


@pytest.mark.parametrize("path", [RESEND, FORGOT])
async def test_the_answer_does_not_wait_for_the_account(
    http: httpx.AsyncClient, form: BuildForm, superuser_url: str, path: str
) -> None:
    """While another transaction holds the account's row, a request about it is answered: its time tells nothing."""
    await sign_up(http, form, email="asha@example.com")
    connection = await asyncpg.connect(superuser_url)
    async with connection.transaction():
        await connection.execute("select 1 from identity.users for update")
        answer = await asyncio.wait_for(http.post(path, json={"email": "asha@example.com"}), 3)
        assert answer.status_code == 202
    await connection.close()


async def test_who_has_not_verified_the_address_does_not_log_in_in_production(
    settings: Settings, resources: Resources, serve: Serve, form: BuildForm, db: Database
) -> None:
    async with strict(settings, resources, serve) as http:
        body = form(email="asha@example.com")
        await call(http, "POST", "/api/v1/users/signup", status=202, json=body)
        await log_in(http, "asha@example.com", status=401)
        await verify(http, await token(db, "verify"))
        await log_in(http, "asha@example.com")


async def test_a_password_is_reset_once_and_ends_every_session(
    http: httpx.AsyncClient, form: BuildForm, db: Database
) -> None:
    session = await sign_up(http, form, email="asha@example.com")
    await post(http, "/password/forgot", 202, email="ASHA@example.com")
    mailed = await token(db, "reset")
    weak = {"password": "asha rao", "confirmPassword": "asha rao"}
    assert (await post(http, "/password/reset", 400, token=mailed, **weak))["code"] == "user_invalid"
    assert (await post(http, "/password/reset", 400, token=mailed[::-1], **NEW))["code"] == "account_token_invalid"
    assert (await verify(http, mailed, 400))["code"] == "account_token_invalid"
    await post(http, "/password/reset", token=mailed, **NEW)
    assert (await post(http, "/password/reset", 400, token=mailed, **NEW))["code"] == "account_token_invalid"
    await refresh(http, session["refreshToken"], status=401)
    await log_in(http, "asha@example.com", status=401)
    again = await log_in(http, "asha@example.com", NEW["password"])
    # The token's holder reads the address's mails.
    assert claims_of(again["token"])["email_verified"] is True
    assert (await verify(http, await token(db, "verify"), 400))["code"]
    assert "user.password_reset" in await actions(db)
    assert len(await published(db, "identity.access.revoked")) == 1


async def test_of_resets_at_once_one_sets_the_password(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    await sign_up(http, form, email="asha@example.com")
    for _ in range(2):
        await post(http, "/password/forgot", 202, email="asha@example.com")
    await token(db, "reset", 2)
    tokens = [db.sealer.open("account_token", mail.token) for mail in await mails(db, "reset")]
    bodies = [{"token": each, "password": f"monsoon ferry {n}", "confirmPassword": f"monsoon ferry {n}"}
              for n, each in enumerate(tokens * 2)]  # fmt: skip
    answers = await asyncio.gather(*(http.post("/api/v1/users/password/reset", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


async def test_a_changed_password_withdraws_the_tokens_that_reset_it(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, db: Database
) -> None:
    session = await sign_up(http, form, email="asha@example.com")
    await post(http, "/password/forgot", 202, email="asha@example.com")
    mailed = await token(db, "reset")
    body = {"currentPassword": "correct horse battery"} | NEW
    await call(http, "PUT", "/api/v1/users/password", json=body, headers=bearer(session))
    assert (await post(http, "/password/reset", 400, token=mailed, **NEW))["code"] == "account_token_invalid"


@pytest.mark.parametrize(("kind", "seconds"), [("verify", 86_400), ("reset", 1_800)])
async def test_a_token_is_valid_for_so_long(
    http: httpx.AsyncClient, form: BuildForm, db: Database, clock: FakeClock, kind: str, seconds: int
) -> None:
    await sign_up(http, form, email="asha@example.com")
    await post(http, "/password/forgot", 202, email="asha@example.com")
    mailed = await token(db, kind)
    clock.advance(seconds=seconds)
    path, more = ("/email/verify", OWN) if kind == "verify" else ("/password/reset", NEW)
    assert (await post(http, path, 400, token=mailed, **more))["code"] == "account_token_invalid"
    clock.advance(seconds=86_400)
    await delete_expired(db, clock, timedelta(minutes=15))
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from account_tokens")).scalar() == 0


async def test_the_database_holds_no_token(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    await sign_up(http, form, email="asha@example.com")
    mailed = await token(db, "verify")
    async with db.begin() as tx:
        [row] = await tx.execute("select encode(token_hash, 'escape') as hash from account_tokens")
        [envelope] = await tx.execute("select body from outbox where routing_key = 'email.account.verify'")
    assert mailed not in row.hash
    assert mailed.encode() not in bytes(envelope.body)


async def test_mails_to_one_address_are_bounded_whoever_asks(
    http: httpx.AsyncClient, form: BuildForm, db: Database, clock: FakeClock
) -> None:
    """From ever other network addresses; an address without an account is refused alike."""
    await sign_up(http, form, email="asha@example.com")
    for email in ("asha@example.com", "nobody@example.com"):
        statuses = []
        for number in range(7):
            headers = {"X-Forwarded-For": f"198.51.100.{number}"}
            answer = await http.post(FORGOT, json={"email": email}, headers=headers)
            statuses.append(answer.status_code)
        assert statuses == [202] * 5 + [429] * 2
        assert answer.json()["error"]["code"] == "account_mails_throttled"
        assert int(answer.headers["Retry-After"]) == 3_600
    await token(db, "reset", 5)
    # Signing up again and again mails the owner five times, and is answered as before.
    for _ in range(7):
        await call(http, "POST", "/api/v1/users/signup", status=202, json=form(email="asha@example.com"))
    assert len(await mails(db, "exists")) == 4  # the fifth was the mail about the sign-up itself
    clock.advance(seconds=3_600)
    await post(http, "/password/forgot", 202, email="asha@example.com")
    await token(db, "reset", 6)


async def test_one_client_cannot_request_mails_without_end(
    settings: Settings, resources: Resources, serve: Serve
) -> None:
    few = settings.model_copy(update={"account_mails_per_ip_max": 3})
    async with service(few, resources) as value, serve(value) as served:
        statuses = []
        for number in range(5):
            body, headers = {"email": f"a{number}@example.com"}, {"X-Forwarded-For": f"2001:db8::{number}"}
            statuses.append((await served.http.post(RESEND, json=body, headers=headers)).status_code)
    assert statuses == [202] * 3 + [429] * 2


async def test_a_verified_address_gets_no_further_token(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    await sign_up(http, form, email="asha@example.com")
    await post(http, "/email/resend", 202, email="asha@example.com")
    await verify(http, await token(db, "verify", 2))
    # Both tokens are used up, and a further request leads to nothing.
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from account_tokens")).scalar() == 0
    await post(http, "/email/resend", 202, email="asha@example.com")
    await post(http, "/password/forgot", 202, email="asha@example.com")
    await token(db, "reset")
    assert len(await mails(db, "verify")) == 2


async def test_an_account_that_is_switched_off_gets_no_mail(
    http: httpx.AsyncClient, form: BuildForm, db: Database, superuser_url: str
) -> None:
    await sign_up(http, form, email="asha@example.com")
    await post(http, "/password/forgot", 202, email="asha@example.com")
    mailed = await token(db, "reset")
    connection = await asyncpg.connect(superuser_url)
    await connection.execute("update identity.users set status = 'INACTIVE'")
    await connection.close()
    assert (await post(http, "/password/reset", 400, token=mailed, **NEW))["code"] == "account_token_invalid"
    await post(http, "/password/forgot", 202, email="asha@example.com")
    await sign_up_elsewhere(http, form, db)
    assert len(await mails(db, "reset")) == 1


async def sign_up_elsewhere(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    """Another account whose requested mail is announced: the requests before it have been handled."""
    await sign_up(http, form, email="ravi@example.com")
    before = len(await mails(db, "verify"))
    await post(http, "/email/resend", 202, email="ravi@example.com")
    await token(db, "verify", before + 1)
