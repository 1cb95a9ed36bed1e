import asyncio
import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import ids
from common.permissions import TABLE
from common.tokens import ServiceTokenInvalid, ServiceTokens, TokenExpired, TokenInvalid, UserTokens, read_jwks
from common.tokens.jwts import Verified
from common.tokens.roles import MEMBER_ROLES, privileged

SECRET = "Zk3vQ9xw7TpLHq8mN2rb5YcDb7Rt1Lw4"


def raw(key: Ed25519PrivateKey) -> tuple[str, str]:
    """(private, public), base64 of the raw bytes"""
    return (
        base64.b64encode(key.private_bytes_raw()).decode(),
        base64.b64encode(key.public_key().public_bytes_raw()).decode(),
    )


def jwks(**keys: Ed25519PrivateKey) -> bytes:
    return json.dumps(
        {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "use": "sig",
                    "kid": kid,
                    "x": base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("="),
                }
                for kid, key in keys.items()
            ]
        }
    ).encode()


def claims(**changes: object) -> dict[str, object]:
    good = {
        "iss": "commdesk-identity",
        "aud": "commdesk",
        "iat": int(time.time()),
        "exp": int(time.time()) + 60,
        "sub": "usr_1",
        "merchant_id": "mer_1",
        "roles": ["user", "Provider"],
        "email": "a@b.example",
        "name": "A",
        "phone": "1",
        "jti": "t1",
    } | changes
    return {name: value for name, value in good.items() if value is not None}


class Issuer:
    """An issuer that serves its keys over HTTP and counts how often they are asked for."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.document = jwks(k1=self.key)
        self.status = 200
        self.asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(body=self.document, status=self.status, content_type="application/json")

    def token(self, kid: str = "k1", key: Ed25519PrivateKey | None = None, **changes: object) -> str:
        return jwt.encode(claims(**changes), key or self.key, algorithm="EdDSA", headers={"kid": kid})


@pytest.fixture
async def issuer():
    issuer = Issuer()
    application = web.Application()
    application.router.add_get("/jwks", issuer.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/jwks"
    yield issuer
    await runner.cleanup()


async def test_a_token_of_the_issuer_says_who_calls(issuer: Issuer):
    async with UserTokens(issuer.url) as users:
        token = issuer.token()
        caller = await users.authenticate(token)
        assert (caller.user_id, caller.merchant_id, caller.token_id) == ("usr_1", "mer_1", "t1")
        assert caller.roles == {"USER", "PROVIDER"}
        assert users.verify(token) is caller


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "other"},
        {"aud": None},
        {"iss": None},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"iat": "then"},
        {"iat": [1]},
        {"iat": int(time.time()) + 3_600},
        {"iat": int(time.time()) - 7 * 86_400},
        {"exp": int(time.time()) + 10 * 365 * 86_400},
        {"iat": -1e308},
        {"iat": float("inf")},
        {"sub": None},
        {"sub": ""},
        {"sub": "usr_é"},
        {"sub": "usr 1"},
        {"merchant_id": "mer\n"},
        {"sub": "x" * 129},
        {"merchant_id": None},
        {"roles": {"a": 1}},
        {"nbf": int(time.time()) + 3600},
    ],
)
async def test_claims_that_are_wrong_or_missing_are_refused(issuer: Issuer, changes: dict[str, object]):
    async with UserTokens(issuer.url) as users:
        with pytest.raises(TokenInvalid):
            await users.authenticate(issuer.token(**changes))


async def test_expiry_has_ten_seconds_of_leeway_and_holds_for_cached_tokens_too(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
):
    async with UserTokens(issuer.url) as users:
        await users.authenticate(issuer.token(iat=int(time.time()) - 60, exp=int(time.time()) - 5))
        with pytest.raises(TokenExpired):
            await users.authenticate(issuer.token(iat=int(time.time()) - 60, exp=int(time.time()) - 15))
        token = issuer.token()
        await users.authenticate(token)
        later = time.time() + 75
        monkeypatch.setattr(time, "time", lambda: later)
        with pytest.raises(TokenExpired):
            users.verify(token)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(header: dict[str, object], sign: bytes | None = None) -> str:
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims()).encode())}"
    return f"{text}.{b64(hmac.digest(sign, text.encode(), hashlib.sha256)) if sign is not None else ''}"


async def test_forgeries_are_refused(issuer: Issuer):
    public = issuer.key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stranger = Ed25519PrivateKey.generate()
    good = issuer.token()
    head, middle, signature = good.split(".")
    async with UserTokens(issuer.url, SECRET) as users:
        for token in (
            forged({"alg": "none"}),
            forged({"alg": "none", "kid": "k1"}),
            forged({"alg": "HS256", "kid": "k1"}, pem),
            forged({"alg": "HS256", "kid": "k1"}, public.public_bytes_raw()),
            forged({"alg": "HS256"}, b""),
            forged({"alg": "HS512"}, SECRET.encode()),
            forged({"alg": ["EdDSA"], "kid": "k1"}),
            forged({"alg": "EdDSA", "kid": {"k1": 1}}),
            issuer.token(key=stranger),
            f"{head}.{middle}.",
            f"{head}.{middle}.{signature[:-4]}AAAA",
            "",
            "x",
            "a.b.c",
            "é.é.é",
            "." * 5000,
        ):
            with pytest.raises(TokenInvalid):
                await users.authenticate(token)
        assert await users.authenticate(good)


def hs256(**changes: object) -> str:
    return jwt.encode(claims(**changes), SECRET, algorithm="HS256")


async def test_hs256_is_accepted_only_with_a_secret_and_for_us():
    token = hs256(sub="u1", merchant_id=None)
    caller = UserTokens("", SECRET).verify(token)
    assert (caller.user_id, caller.merchant_id) == ("u1", "mer_commdesk")
    for users in (UserTokens(""), UserTokens("", ""), UserTokens("", SECRET[::-1])):
        with pytest.raises(TokenInvalid):
            users.verify(token)
    now = int(time.time())
    wrong_or_missing = [
        {"iss": "x"},
        {"aud": "x"},
        {"aud": ["x"]},
        *({name: None} for name in ("iss", "aud", "iat", "exp")),
    ]
    for wrong in (*wrong_or_missing, {"exp": now + 86_460}, {"exp": now + 315_360_000}, {"iat": now - 90_000}):
        with pytest.raises(TokenInvalid):
            UserTokens("", SECRET).verify(hs256(**wrong))


@pytest.mark.parametrize("roles", [["ADMIN"], "admin", ["user", "Finance", "SUPPORT"], ["OPERATOR", "provider"], ["x"]])
async def test_hs256_names_members_only(roles: object):
    caller = UserTokens("", SECRET).verify(hs256(roles=roles))
    assert caller.roles <= MEMBER_ROLES
    assert not privileged(caller.roles)


async def test_hs256_names_the_first_merchants_users_alone():
    assert UserTokens("", SECRET).verify(hs256(sub="u1", merchant_id="mer_shop")).merchant_id == "mer_commdesk"
    for reserved in ("mer_shop", "acc_shop", "apk_shop"):
        with pytest.raises(TokenInvalid):
            UserTokens("", SECRET).verify(hs256(sub=reserved))


MEMBER = {"account_id": "acc_1", "member_roles": ["OWNER"], "home_merchant_id": "mer_commdesk"}


async def test_hs256_makes_nobody_a_member_of_a_merchant():
    caller = UserTokens("", SECRET).verify(hs256(**MEMBER, permissions=["members.manage"]))
    assert (caller.account_id, caller.member_roles, caller.home_merchant_id) == ("", frozenset(), "")
    assert caller.permissions == TABLE.of_platform_roles({"USER"})
    assert not caller.is_privileged


async def test_a_member_has_the_permissions_of_the_membership_alone(issuer: Issuer):
    async with UserTokens(issuer.url) as users:
        users.revocations.confirm(float("inf"), 900)
        everything = {"roles": ["ADMIN", "USER"], "permissions": ["refunds.create", "users.manage", "wallets.read"]}
        caller = users.verify(issuer.token(**MEMBER | {"member_roles": ["VIEWER"]}, **everything))
        assert (caller.roles, caller.member_roles) == (frozenset(), {"VIEWER"})
        # Of roles that the account has made, and nothing that no merchant role has.
        assert caller.permissions == TABLE.of_member({"VIEWER"}) | {"refunds.create"}
        assert caller.is_privileged
        # Without an account the same claims bring nothing.
        caller = users.verify(issuer.token(member_roles=["OWNER"], permissions=["members.manage"], roles=["USER"]))
        assert caller.permissions == TABLE.of_platform_roles({"USER"})
        for wrong in ({"member_roles": {"OWNER": True}}, {"permissions": [1]}, {"account_id": 1}):
            with pytest.raises(TokenInvalid):
                users.verify(issuer.token(**MEMBER | wrong))


def test_hs256_names_no_account_of_identity():
    """A reader of one service's environment can sign with the secret: that must not open identity's accounts."""
    users = UserTokens("", SECRET)
    for user_id in ("usr_1", "member_1", f"USR_{ids.encode('usr', ids.new())[4:]}"):
        assert users.verify(hs256(sub=user_id)).user_id == user_id
    with pytest.raises(TokenInvalid):
        users.verify(hs256(sub=ids.encode("usr", ids.new())))


def test_every_role_that_nobody_listed_is_privileged():
    assert privileged(["USER", "PROVIDER", "LAB_ASSISTANT"]) == frozenset()
    assert privileged(["USER", "ADMIN", "OPERATOR", "NEW"]) == {"ADMIN", "OPERATOR", "NEW"}


async def test_a_new_key_is_fetched_once_and_invented_ones_do_not_flood_the_issuer(issuer: Issuer):
    async with UserTokens(issuer.url) as users:
        assert issuer.asked == 1
        fresh = Ed25519PrivateKey.generate()
        issuer.document = jwks(k1=issuer.key, k2=fresh)
        callers = await asyncio.gather(*(users.authenticate(issuer.token("k2", fresh, jti=str(n))) for n in range(20)))
        assert len(callers) == 20
        for n in range(50):
            with pytest.raises(TokenInvalid):
                await users.authenticate(issuer.token(f"invented-{n}"))
        assert issuer.asked == 2


async def test_the_last_known_keys_stay_while_the_issuer_is_away(issuer: Issuer):
    async with UserTokens(issuer.url) as users:
        for status, document in ((500, b""), (200, b"nonsense"), (200, b'{"keys": []}'), (200, b"x" * 100_000)):
            issuer.status, issuer.document = status, document
            assert not await users.refresh()
            await users.authenticate(issuer.token())


async def test_a_withdrawn_key_takes_its_tokens_along(issuer: Issuer):
    async with UserTokens(issuer.url) as users:
        token = issuer.token()
        await users.authenticate(token)
        issuer.document = jwks(k2=Ed25519PrivateKey.generate())
        assert await users.refresh()
        with pytest.raises(TokenInvalid):
            await users.authenticate(token)


async def test_starting_without_the_issuer_is_possible():
    async with UserTokens("http://127.0.0.1:1/jwks", SECRET) as users:
        assert users.verify(hs256())


def test_the_cache_is_bounded():
    cache = Verified[int](items_max=3)
    for n in range(10):
        cache.put(str(n), time.time() + 60, n)
    assert (len(cache), cache.get("9"), cache.get("0")) == (3, 9, None)


def test_other_kinds_of_keys_are_passed_over():
    rsa = {"kty": "RSA", "kid": "r", "n": "x", "e": "AQAB"}
    document = json.loads(jwks(k1=Ed25519PrivateKey.generate()))
    document["keys"].append(rsa)
    assert read_jwks(json.dumps(document).encode()).keys() == {"k1"}


PAYMENT, WALLET = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = {"payment": raw(PAYMENT)[1], "wallet": raw(WALLET)[1]}


def test_services_know_one_another():
    payment, wallet = (ServiceTokens(n, raw(k)[0], PUBLIC) for n, k in (("payment", PAYMENT), ("wallet", WALLET)))
    token = payment.issue("wallet")
    assert payment.issue("wallet") is token
    assert wallet.verify(token, "wallet") == "payment"
    assert wallet.verify(token, "wallet") == "payment"
    for _ in range(2):
        with pytest.raises(ServiceTokenInvalid):
            wallet.verify(token, "ledger")


def test_a_service_cannot_speak_for_another():
    wallet = ServiceTokens("wallet", raw(WALLET)[0], PUBLIC)
    now = int(time.time())
    good = {"iss": "payment", "aud": "wallet", "iat": now, "exp": now + 60}
    sound = jwt.encode(good, PAYMENT, algorithm="EdDSA", headers={"kid": "payment"})
    assert wallet.verify(sound, "wallet") == "payment"
    for key, kid, body in (
        (WALLET, "payment", good),
        (PAYMENT, "payment", good | {"iss": "wallet"}),
        (PAYMENT, "payment", good | {"iat": now - 120, "exp": now - 60}),
        (PAYMENT, "payment", good | {"exp": now + 301}),
        (PAYMENT, "payment", good | {"exp": now + 315_360_000}),
        (PAYMENT, "payment", good | {"iat": now + 300, "exp": now + 600}),
        (PAYMENT, "payment", {name: value for name, value in good.items() if name != "iat"}),
        (PAYMENT, "payment", good | {"aud": "ledger"}),
        (PAYMENT, "nobody", good),
    ):
        with pytest.raises(ServiceTokenInvalid):
            wallet.verify(jwt.encode(body, key, algorithm="EdDSA", headers={"kid": kid}), "wallet")
    with pytest.raises(ServiceTokenInvalid):
        wallet.verify(forged({"alg": "none", "kid": "payment"}), "wallet")


def test_a_key_that_is_none_is_refused_at_start():
    with pytest.raises(ValueError):
        ServiceTokens("wallet", "AAAA", PUBLIC)
