"""Through the HTTP endpoints, over the real engines."""

import asyncio
import base64
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from copy import copy
from typing import Any

import asyncpg
import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import ids
from common.clock import FakeClock
from common.database import Database
from common.redis import connect
from common.runtime import Resources, Service
from common.testing import Served, published, until
from identity.__main__ import create_admin, service
from identity.settings import Settings
from identity.use_cases import profiles, sessions

Json = dict[str, Any]
BuildForm = Callable[..., dict[str, str]]
Bearer = Callable[[Json], dict[str, str]]
Serve = Callable[[Service], AbstractAsyncContextManager[Served]]


async def call(http: httpx.AsyncClient, method: str, path: str, *, status: int = 200, **options: Any) -> Json:
    response = await http.request(method, path, **options)
    assert response.status_code == status, response.text
    document: Json = response.json()
    assert document["success"] is (status < 400)
    result: Json = document["data"] if status < 400 else document["error"]
    return result


async def sign_up(http: httpx.AsyncClient, form: BuildForm, **changes: str) -> Json:
    """Somebody new, logged in."""
    body = form(**changes)
    await call(http, "POST", "/api/v1/users/signup", status=202, json=body)
    return await log_in(http, body["email"], body["password"])


async def log_in(
    http: httpx.AsyncClient, email: str, password: str = "correct horse battery", status: int = 200, **options: Any
) -> Json:
    body = {"email": email, "password": password}
    return await call(http, "POST", "/api/v1/users/login", status=status, json=body, **options)


async def refresh(http: httpx.AsyncClient, token: str, status: int = 200) -> Json:
    return await call(http, "POST", "/api/v1/users/refresh", status=status, json={"refreshToken": token})


async def audits(db: Database) -> list[AuditRecorded]:
    return [event for _, event in await published(db, "audit.recorded") if isinstance(event, AuditRecorded)]


async def actions(db: Database) -> list[str]:
    return [event.action for event in await audits(db)]


async def test_who_signs_up_may_log_in(http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, db: Database) -> None:
    session = await sign_up(http, form, email="Asha@Example.com")
    assert session["user"] == {
        "_id": session["user"]["_id"],
        "email": "Asha@example.com",
        "name": "Asha Rao",
        "type": "USER",
    }
    assert session["user"]["_id"].startswith("usr_")
    again = await log_in(http, "asha@example.COM")
    assert again["user"] == session["user"]
    assert (again["expiresIn"], again["token"] != session["token"]) == (900, True)
    profile = await call(http, "GET", "/api/v1/users/profile", headers=bearer(again))
    assert profile["merchantId"] == "mer_commdesk"
    assert (profile["roles"], profile["status"], profile["isEmailVerified"]) == (["USER"], "ACTIVE", False)
    assert "password" not in str(profile).lower()
    assert await actions(db) == ["user.signup", "user.login", "user.login"]


async def test_an_audit_event_says_who_and_from_where_and_nothing_personal(
    http: httpx.AsyncClient, form: BuildForm, db: Database
) -> None:
    session = await sign_up(http, form)
    event, _ = await audits(db)
    assert event.actor_id == event.resource_id == session["user"]["_id"]
    assert (db.sealer.open("ip", event.ip), event.service) == ("203.0.113.7", "identity")
    assert event.ip.startswith("s1.")
    assert event.request_id
    assert msgspec.json.decode(event.after_json) == {"roles": ["USER"], "status": "ACTIVE"}
    assert b"example.com" not in event.SerializeToString()


async def test_an_address_belongs_to_one_user(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    bodies = [form(email=email) for email in ("asha@example.com", "Asha@example.com", "ASHA@EXAMPLE.COM") * 3]
    answers = await asyncio.gather(*(http.post("/api/v1/users/signup", json=body) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {202: 9}
    assert await actions(db) == ["user.signup"]


async def test_many_sign_ups_at_once(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    answers = await asyncio.gather(*(http.post("/api/v1/users/signup", json=form()) for _ in range(40)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await actions(db)) == 40


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "asha"}, "email"),
        ({"confirmPassword": "another"}, "confirmPassword"),
        ({"isAdmin": "yes"}, "isAdmin"),
        ({"mobileNumber": 9876543210}, "mobileNumber"),
    ],
)
async def test_a_form_that_is_wrong_says_where(
    http: httpx.AsyncClient, form: BuildForm, changes: Json, field: str
) -> None:
    error = await call(http, "POST", "/api/v1/users/signup", status=400, json=form() | changes)
    assert list(error["fields"]) == [field]


async def test_nobody_signs_up_as_an_administrator(http: httpx.AsyncClient, form: BuildForm) -> None:
    error = await call(http, "POST", "/api/v1/users/signup", status=403, json=form(type="ADMIN"))
    assert error["code"] == "role_not_self_service"


async def test_wrong_password_and_unknown_address_are_answered_alike(http: httpx.AsyncClient, form: BuildForm) -> None:
    email = (await sign_up(http, form))["user"]["email"]
    wrong = await log_in(http, email, "wrong horse battery", status=401)
    unknown = await log_in(http, "nobody@example.com", status=401)
    assert wrong | {"requestId": ""} == unknown | {"requestId": ""}


async def test_odd_passwords_are_wrong_ones(http: httpx.AsyncClient, form: BuildForm) -> None:
    email = (await sign_up(http, form))["user"]["email"]
    for number, password in enumerate(("", "x" * 5000, "パスワード")):
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        error = await log_in(http, email, password, status=401, headers=headers)
        assert error["code"] == "credentials_invalid"
    assert (await log_in(http, email, "\u0000", status=400))["code"] == "request_invalid"
    answer = await http.post(
        "/api/v1/users/login",
        content=b'{"email": "%s", "password": "\\ud800"}' % email.encode(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 401)


async def test_one_password_has_many_encodings(http: httpx.AsyncClient, form: BuildForm) -> None:
    email = (await sign_up(http, form, password="Cafe\u0301 au lait"))["user"]["email"]
    await log_in(http, email, "Caf\u00e9 au lait")


async def test_after_five_attempts_one_waits_even_when_they_come_at_once(
    http: httpx.AsyncClient, form: BuildForm, clock: FakeClock, db: Database
) -> None:
    email = (await sign_up(http, form))["user"]["email"]
    body = {"email": email, "password": "wrong horse battery"}
    answers = await asyncio.gather(*(http.post("/api/v1/users/login", json=body) for _ in range(12)))
    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 7}
    error = await http.post("/api/v1/users/login", json=body | {"password": "correct horse battery"})
    assert error.status_code == 429
    assert int(error.headers["Retry-After"]) == 900
    assert (await actions(db)).count("user.login_throttled") == 1
    # Somebody else at another address is not kept out.
    await log_in(http, email, headers={"X-Forwarded-For": "198.51.100.9"})
    clock.advance(seconds=900)
    await log_in(http, email)


async def test_a_success_forgets_the_failures(http: httpx.AsyncClient, form: BuildForm) -> None:
    email = (await sign_up(http, form))["user"]["email"]
    for _ in range(3):
        for _ in range(4):
            await log_in(http, email, "wrong horse battery", status=401)
        await log_in(http, email)


async def test_one_address_cannot_try_every_account(http: httpx.AsyncClient, settings: Settings) -> None:
    attempts = [{"email": f"a{n}@example.com", "password": "correct horse"} for n in range(120)]
    answers = await asyncio.gather(*(http.post("/api/v1/users/login", json=body) for body in attempts))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[401] <= settings.login_attempts_per_ip_max
    assert statuses[429] >= 20


async def test_a_session_goes_on_by_refreshing(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, clock: FakeClock
) -> None:
    session = await sign_up(http, form)
    for _ in range(3):
        clock.advance(seconds=1)
        following = await refresh(http, session["refreshToken"])
        assert following["refreshToken"] != session["refreshToken"]
        await call(http, "GET", "/api/v1/users/profile", headers=bearer(following))
        session = following


async def test_a_stolen_refresh_token_ends_the_session(
    http: httpx.AsyncClient, form: BuildForm, clock: FakeClock, db: Database
) -> None:
    stolen = (await sign_up(http, form))["refreshToken"]
    victims = (await refresh(http, stolen))["refreshToken"]
    clock.advance(seconds=11)
    assert (await refresh(http, stolen, status=401))["code"] == "refresh_token_reused"
    assert (await refresh(http, victims, status=401))["code"] == "refresh_token_invalid"
    assert (await actions(db))[-1] == "user.refresh_token_reused"


async def test_the_same_refresh_at_once_has_one_answer(http: httpx.AsyncClient, form: BuildForm) -> None:
    token = (await sign_up(http, form))["refreshToken"]
    answers = await asyncio.gather(*(refresh(http, token) for _ in range(8)))
    assert len({answer["refreshToken"] for answer in answers}) == 1
    await refresh(http, answers[0]["refreshToken"])


async def test_a_made_up_refresh_token_ends_nothing(http: httpx.AsyncClient, form: BuildForm) -> None:
    token = (await sign_up(http, form))["refreshToken"]
    for forged in (token[:-2] + "AA", token.replace(".1.", ".2."), "rft_", "", "💳"):
        assert (await refresh(http, forged, status=401))["code"] == "refresh_token_invalid"
    await refresh(http, token)


async def test_who_logs_out_cannot_refresh(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, redis: Redis
) -> None:
    one = await sign_up(http, form)
    other = await log_in(http, one["user"]["email"])
    ended = await call(http, "POST", "/api/v1/users/logout", headers=bearer(one))
    assert ended == {"sessionsEnded": 1}
    assert (await call(http, "POST", "/api/v1/users/logout", headers=bearer(one))) == {"sessionsEnded": 0}
    await refresh(http, one["refreshToken"], status=401)
    await refresh(http, other["refreshToken"])
    await log_in(http, one["user"]["email"])
    ended = await call(http, "POST", "/api/v1/users/logout?everywhere=true", headers=bearer(other))
    assert ended == {"sessionsEnded": 2}
    assert await redis.get(f"session:{one['user']['_id']}") is None


async def test_a_profile_is_changed_and_shown_at_once(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, redis: Redis
) -> None:
    session = await sign_up(http, form)
    headers = bearer(session)
    await call(http, "GET", "/api/v1/users/profile", headers=headers)
    key = f"user:{session['user']['_id']}"
    assert profiles.CACHE_SECONDS - 5 <= await redis.ttl(key) <= profiles.CACHE_SECONDS == 3600
    changed = await call(http, "PUT", "/api/v1/users/update", json={"name": "Asha R. Rao"}, headers=headers)
    assert (changed["name"], changed["mobileNumber"]) == ("Asha R. Rao", "9876543210")
    assert profiles.CACHE_SECONDS - 5 <= await redis.ttl(key) <= profiles.CACHE_SECONDS
    assert await call(http, "GET", "/api/v1/users/profile", headers=headers) == changed
    error = await call(http, "PUT", "/api/v1/users/update", status=400, json={"name": ""}, headers=headers)
    assert list(error["fields"]) == ["name"]
    await call(http, "PUT", "/api/v1/users/update", status=400, json={"email": "x@example.com"}, headers=headers)


async def test_the_cached_session_lasts_a_day_and_holds_no_token(
    http: httpx.AsyncClient, form: BuildForm, redis: Redis, db: Database
) -> None:
    session = await sign_up(http, form)
    key = f"session:{session['user']['_id']}"
    assert sessions.CACHE_SECONDS - 5 <= await redis.ttl(key) <= sessions.CACHE_SECONDS == 86_400
    sealed = await redis.get(key)
    assert isinstance(sealed, bytes)
    assert b"203.0.113.7" not in sealed
    cached = db.sealer.open_cached(f"cache:{key}", sealed)
    assert cached is not None
    assert session["token"].encode() not in cached
    assert msgspec.json.decode(cached)["ip"] == "203.0.113.7"


async def test_nothing_depends_on_redis(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, settings: Settings, resources: Resources, serve: Serve
) -> None:
    session = await sign_up(http, form)
    before = await call(http, "GET", "/api/v1/users/profile", headers=bearer(session))
    without_redis = copy(resources)
    without_redis.redis = connect("redis://127.0.0.1:1")
    async with service(settings, without_redis) as value, serve(value) as served:
        assert await call(served.http, "GET", "/api/v1/users/profile", headers=bearer(session)) == before
        await refresh(served.http, session["refreshToken"])
        await log_in(served.http, session["user"]["email"])
        await sign_up(served.http, form)


async def sign_up_and_look(http: httpx.AsyncClient, form: BuildForm, bearer: Bearer) -> str:
    """Another user, whose profile is cached; their id."""
    session = await sign_up(http, form)
    await call(http, "GET", "/api/v1/users/profile", headers=bearer(session))
    return str(session["user"]["_id"])


async def test_a_cached_profile_that_we_did_not_write_is_not_believed(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, redis: Redis
) -> None:
    session = await sign_up(http, form)
    key = f"user:{session['user']['_id']}"
    true = await call(http, "GET", "/api/v1/users/profile", headers=bearer(session))
    of_another = await redis.get(f"user:{(await sign_up_and_look(http, form, bearer))}")
    assert of_another is not None
    # Older, forged, and a genuine one in the wrong place.
    for wrong in (b'{"_id": "old"}', msgspec.json.encode(true | {"roles": ["ADMIN"]}), of_another):
        await redis.set(key, wrong)
        assert await call(http, "GET", "/api/v1/users/profile", headers=bearer(session)) == true


async def test_a_changed_password_ends_the_other_sessions(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer
) -> None:
    here = await sign_up(http, form)
    there = await log_in(http, here["user"]["email"])
    body = {"currentPassword": "correct horse battery", "password": "a new staple", "confirmPassword": "a new staple"}
    wrong = body | {"currentPassword": "wrong horse battery"}
    assert (await call(http, "PUT", "/api/v1/users/password", status=403, json=wrong, headers=bearer(here)))["code"]
    await call(http, "PUT", "/api/v1/users/password", json=body, headers=bearer(here))
    await refresh(http, there["refreshToken"], status=401)
    await refresh(http, here["refreshToken"])
    await log_in(http, here["user"]["email"], status=401)
    await log_in(http, here["user"]["email"], "a new staple")


async def test_guessing_the_current_password_is_throttled_too(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer
) -> None:
    session = await sign_up(http, form)
    body = {"currentPassword": "wrong horse battery", "password": "a new staple", "confirmPassword": "a new staple"}
    answers = [
        (await http.put("/api/v1/users/password", json=body, headers=bearer(session))).status_code for _ in range(6)
    ]
    assert answers == [403] * 5 + [429]


@pytest.fixture
async def admin(http: httpx.AsyncClient, settings: Settings) -> Json:
    await create_admin(settings, "root@example.com", "Root", "an administrator's")
    return await log_in(http, "root@example.com", "an administrator's")


async def access(http: httpx.AsyncClient, headers: dict[str, str], user_id: str, body: Json, status: int = 200) -> Json:
    return await call(http, "PUT", f"/api/v1/users/{user_id}/access", status=status, json=body, headers=headers)


async def test_an_administrator_grants_roles(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, admin: Json, db: Database
) -> None:
    member = await sign_up(http, form)
    changed = await access(http, bearer(admin), member["user"]["_id"], {"roles": ["USER", "SUPPORT"]})
    assert changed["roles"] == ["SUPPORT", "USER"]
    session = await refresh(http, member["refreshToken"])
    claims = msgspec.json.decode(_payload(session["token"]))
    assert claims["roles"] == ["SUPPORT", "USER"]
    changed = await access(http, bearer(admin), member["user"]["_id"], {"roles": ["FINANCE"]})
    assert changed["roles"] == ["FINANCE"]
    event = next(event for event in await audits(db) if event.action == "user.roles_changed")
    assert event.actor_id == admin["user"]["_id"]
    assert msgspec.json.decode(event.before_json)["roles"] == ["USER"]
    assert msgspec.json.decode(event.after_json)["roles"] == ["SUPPORT", "USER"]


async def test_a_dismissed_administrators_token_opens_nothing(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, admin: Json
) -> None:
    mallory = await sign_up(http, form)
    user_id, root_id = mallory["user"]["_id"], admin["user"]["_id"]
    await access(http, bearer(admin), user_id, {"roles": ["USER", "ADMIN"]})
    old = bearer(await refresh(http, mallory["refreshToken"]))
    await access(http, bearer(admin), user_id, {"roles": ["USER"], "status": "INACTIVE"})
    for target, body in (
        (user_id, {"roles": ["USER", "ADMIN"], "status": "ACTIVE"}),
        (root_id, {"status": "INACTIVE"}),
    ):
        error = await access(http, old, target, body, status=403)
        assert error["code"] == "rights_outdated"
    assert (await access(http, bearer(admin), root_id, {"roles": ["USER"]}, status=409))["code"] == (
        "administrator_is_last"
    )


async def test_an_administrator_by_hs256_is_a_member(
    http: httpx.AsyncClient, form: BuildForm, service_env: dict[str, str]
) -> None:
    """Every service has that secret: reading one environment must suffice neither to make administrators nor to use
    an account.
    """
    target = (await sign_up(http, form))["user"]["_id"]
    now = int(time.time())
    claims = {"iss": "commdesk-identity", "aud": "commdesk", "iat": now, "exp": now + 60, "roles": ["ADMIN"]}
    for subject, status, code in (("member_1", 403, "role_missing"), (target, 401, "token_invalid")):
        token = jwt.encode(claims | {"sub": subject}, service_env["JWT_SECRET"], "HS256")
        headers = {"Authorization": f"Bearer {token}"}
        assert (await access(http, headers, target, {"roles": ["ADMIN"]}, status=status))["code"] == code


def _payload(token: str) -> bytes:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_nobody_else_grants_roles(http: httpx.AsyncClient, form: BuildForm, bearer: Bearer) -> None:
    member = await sign_up(http, form)
    error = await access(http, bearer(member), member["user"]["_id"], {"roles": ["ADMIN"]}, status=403)
    assert error["code"] == "role_missing"


@pytest.mark.parametrize(
    ("body", "status"), [({"roles": ["KING"]}, 400), ({"roles": []}, 400), ({"status": "ASLEEP"}, 400)]
)
async def test_access_is_checked(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, admin: Json, body: Json, status: int
) -> None:
    member = await sign_up(http, form)
    await access(http, bearer(admin), member["user"]["_id"], body, status=status)


async def test_a_user_of_another_merchant_is_not_there(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, admin: Json, superuser_url: str
) -> None:
    member = await sign_up(http, form)
    connection = await asyncpg.connect(superuser_url)
    await connection.execute("insert into identity.accounts (account_id, name) values ('acc_other', 'Other')")
    await connection.execute(
        "insert into identity.merchants (merchant_id, name, account_id, environment) "
        "values ('mer_other', 'Other', 'acc_other', 'live')"
    )
    await connection.execute(
        "update identity.users set merchant_id = 'mer_other' where user_id = $1",
        ids.decode("usr", member["user"]["_id"]),
    )
    await connection.close()
    await access(http, bearer(admin), member["user"]["_id"], {"roles": ["ADMIN"]}, status=404)


async def test_who_is_switched_off_is_out(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, admin: Json
) -> None:
    member = await sign_up(http, form)
    await access(http, bearer(admin), member["user"]["_id"], {"status": "INACTIVE"})
    await refresh(http, member["refreshToken"], status=401)
    assert (await log_in(http, member["user"]["email"], status=403))["code"] == "user_inactive"
    assert (await log_in(http, member["user"]["email"], "wrong horse battery", status=401))["code"]
    await access(http, bearer(admin), member["user"]["_id"], {"status": "ACTIVE"})
    await log_in(http, member["user"]["email"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/users/profile"),
        ("PUT", "/api/v1/users/update"),
        ("PUT", "/api/v1/users/password"),
        ("POST", "/api/v1/users/logout"),
        ("PUT", "/api/v1/users/usr_x/access"),
    ],
)
async def test_endpoints_need_a_token(http: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await call(http, method, path, status=401))["code"] == "token_missing"


async def test_the_key_set_is_public_and_may_be_kept(http: httpx.AsyncClient) -> None:
    answer = await http.get("/.well-known/jwks.json")
    assert answer.json()["keys"][0]["crv"] == "Ed25519"
    assert "max-age" in answer.headers["cache-control"]


async def test_one_sees_ones_sessions_and_ends_one(http: httpx.AsyncClient, form: BuildForm, bearer: Bearer) -> None:
    here = await sign_up(http, form)
    email = here["user"]["email"]
    there = await log_in(http, email, headers={"User-Agent": "a stranger's", "X-Forwarded-For": "198.51.100.9"})
    stranger = await sign_up(http, form)
    listed = (await call(http, "GET", "/api/v1/users/sessions", headers=bearer(here)))["items"]
    assert [(each["isCurrent"], each["userAgent"], each["ip"]) for each in listed] == [
        (False, "a stranger's", "198.51.100.9"),
        (True, listed[1]["userAgent"], "203.0.113.7"),
    ]
    path = f"/api/v1/users/sessions/{listed[0]['sessionId']}"
    assert (await call(http, "DELETE", path, status=404, headers=bearer(stranger)))["code"] == "session_not_found"
    await call(http, "DELETE", path, headers=bearer(here))
    await refresh(http, there["refreshToken"], status=401)
    await refresh(http, here["refreshToken"])
    await call(http, "DELETE", path, status=404, headers=bearer(here))
    await call(http, "DELETE", "/api/v1/users/sessions/nonsense", status=400, headers=bearer(here))


async def test_a_token_of_another_merchant_opens_no_account(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, token_key: str
) -> None:
    """Each route for an account's owner compares the merchant."""
    account = await sign_up(http, form)
    claims = jwt.decode(account["token"], options={"verify_signature": False}) | {"merchant_id": "mer_other"}
    headers = jwt.get_unverified_header(account["token"])
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(token_key))
    elsewhere = bearer({"token": jwt.encode(claims, key, "EdDSA", headers)})
    session_id = claims["jti"].partition(".")[0]
    password = {"password": "correct horse battery"}
    requests: list[tuple[str, str, Json]] = [
        ("GET", "profile", {}),
        ("PUT", "update", {"json": {"name": "Nobody"}}),
        ("PUT", "password", {"json": {"currentPassword": "x", "password": "y", "confirmPassword": "y"}}),
        ("GET", "sessions", {}),
        ("DELETE", f"sessions/{session_id}", {}),
        ("POST", "logout", {}),
        ("POST", "logout?everywhere=true", {}),
        ("POST", "second-factor", {"json": password}),
        ("POST", "second-factor/confirm", {"json": {"code": "000000"}}),
        ("POST", "second-factor/remove", {"json": password | {"code": "000000"}}),
        ("POST", "step-up", {"json": password}),
    ]
    answers = {}
    for method, path, options in requests:
        response = await http.request(method, f"/api/v1/users/{path}", headers=elsewhere, **options)
        answers[method, path] = (response.status_code, (response.json().get("error") or {}).get("code"))
    assert answers == {(method, path): (404, "user_not_found") for method, path, _ in requests}
    assert len((await call(http, "GET", "/api/v1/users/sessions", headers=bearer(account)))["items"]) == 1


async def test_a_new_password_that_is_refused_is_no_guess(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, settings: Settings
) -> None:
    session = await sign_up(http, form)
    weak = {"currentPassword": "correct horse battery", "password": "password1", "confirmPassword": "password1"}
    for _ in range(settings.login_attempts_max + 1):
        error = await call(http, "PUT", "/api/v1/users/password", status=400, json=weak, headers=bearer(session))
        assert error["code"] == "user_invalid"
    strong = weak | {"password": "a new staple", "confirmPassword": "a new staple"}
    await call(http, "PUT", "/api/v1/users/password", json=strong, headers=bearer(session))


async def test_a_wrong_current_password_is_audited_as_a_wrong_login_is(
    http: httpx.AsyncClient, form: BuildForm, bearer: Bearer, db: Database
) -> None:
    session = await sign_up(http, form)
    body = {"currentPassword": "wrong horse battery", "password": "a new staple", "confirmPassword": "a new staple"}
    await call(http, "PUT", "/api/v1/users/password", status=403, json=body, headers=bearer(session))

    async def failures() -> list[AuditRecorded]:
        return [event for event in await audits(db) if event.action == "user.login_failed"]

    [failure] = await until(failures, 5)
    assert failure.resource_id == session["user"]["_id"]


async def test_failed_logins_are_audited(http: httpx.AsyncClient, form: BuildForm, db: Database) -> None:
    session = await sign_up(http, form)
    for email in (session["user"]["email"], "nobody@example.com"):
        await log_in(http, email, "wrong horse battery", status=401)

    async def failures() -> list[AuditRecorded]:
        return [event for event in await audits(db) if event.action == "user.login_failed"]

    async def both() -> bool:
        return len(await failures()) == 2

    await until(both)
    known, unknown = sorted(await failures(), key=lambda event: event.resource_type, reverse=True)
    assert (known.resource_id, known.actor_id) == (session["user"]["_id"], "unknown")
    assert db.sealer.open("ip", known.ip) == "203.0.113.7"
    assert unknown.resource_type == "login_throttle"
    assert b"example.com" not in known.SerializeToString() + unknown.SerializeToString()


async def test_sign_ups_from_one_network_are_limited(
    settings: Settings, resources: Resources, serve: Serve, form: BuildForm
) -> None:
    few = settings.model_copy(update={"sign_ups_per_ip_max": 3})
    async with service(few, resources) as value, serve(value) as served:
        for number in range(3):
            headers = {"X-Forwarded-For": f"2001:db8::{number}"}
            await call(served.http, "POST", "/api/v1/users/signup", status=202, json=form(), headers=headers)
        headers = {"X-Forwarded-For": "2001:db8::ffff"}
        refused = await served.http.post("/api/v1/users/signup", json=form(), headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "sign_ups_throttled")
        assert int(refused.headers["Retry-After"]) == 3_600
        headers = {"X-Forwarded-For": "2001:db8:1::1"}
        await call(served.http, "POST", "/api/v1/users/signup", status=202, json=form(), headers=headers)


async def test_a_flood_of_sign_ups_keeps_no_login_waiting(
    settings: Settings, resources: Resources, serve: Serve, form: BuildForm
) -> None:
    """Logins have hashing places of their own: with those of sign-ups all taken, a login is answered."""
    slow = settings.model_copy(update={"hashing_waiting_max": 4, "hashing_passes": 60, "hashing_memory_kib": 4096})
    async with service(slow, resources) as value, serve(value) as served:
        email = (await sign_up(served.http, form))["user"]["email"]
        flood = [asyncio.create_task(served.http.post("/api/v1/users/signup", json=form())) for _ in range(30)]
        await asyncio.sleep(0.05)
        await log_in(served.http, email)
        statuses = Counter(answer.status_code for answer in await asyncio.gather(*flood))
    assert statuses[503] > 0
    assert set(statuses) <= {202, 503}
