import asyncio
import base64
import re
import zlib
from collections.abc import Sequence

import grpc
import pytest

from commdesk.identity.v1 import identity_pb2 as pb
from common import api_keys
from common.api_keys import (
    KNOWN_KEYS,
    ApiKeyGuessesThrottled,
    ApiKeyInvalid,
    ApiKeyNetworkNotAllowed,
    ApiKeyOriginNotAllowed,
    ApiKeys,
    CredentialsAmbiguous,
    Environment,
    Kind,
    Presented,
    guesses,
    resolution,
)
from common.api_keys.texts import checksum
from common.api_versions import LATEST
from common.grpc_client import CalleeUnavailable

SECRET = api_keys.generate("secret", "test")
PUBLISHABLE = api_keys.generate("publishable", "test")
ADDRESS = "203.0.113.7"


@pytest.mark.parametrize("kind", ["publishable", "secret"])
@pytest.mark.parametrize("environment", ["test", "live"])
def test_a_key_says_its_kind_and_environment_and_carries_a_checksum(kind: Kind, environment: Environment) -> None:
    text = api_keys.generate(kind, environment)
    assert re.fullmatch(rf"{'key' if kind == 'publishable' else 'sk'}_{environment}_[0-9A-Za-z]{{36}}", text)
    read = api_keys.read(text)
    assert (read.kind, read.environment) == (kind, environment)
    assert text[-6:] == checksum(text[:-6])


def test_keys_differ() -> None:
    assert len({api_keys.generate("secret", "live") for _ in range(1_000)}) == 1_000


def test_the_checksum_is_the_crc_in_base_62() -> None:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for text in ("", "a", SECRET[:-6]):
        number = 0
        for character in checksum(text):
            number = number * 62 + digits.index(character)
        assert (len(checksum(text)), number) == (6, zlib.crc32(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk_test_",
        SECRET[:-1],
        SECRET + "a",
        SECRET.replace("sk_", "pk_"),
        SECRET.replace("_test_", "_live_"),
        SECRET[:20] + ("a" if SECRET[20] != "a" else "b") + SECRET[21:],
        SECRET.swapcase(),
        "sk_test_" + "٣" * 36,
        SECRET + "\n",
        "key_test_abc1234",
        "sk_live_abc123",
    ],
)
def test_what_is_no_key_is_refused_without_asking(text: str) -> None:
    with pytest.raises(ApiKeyInvalid):
        api_keys.read(text)


def test_the_known_keys_are_read() -> None:
    assert [api_keys.read(text).kind for text in KNOWN_KEYS.values()] == ["publishable", "secret"]
    assert {api_keys.read(text).environment for text in KNOWN_KEYS.values()} == {"test"}


def basic(user: str, password: str = "") -> dict[bytes, bytes]:
    return {b"authorization": b"Basic " + base64.b64encode(f"{user}:{password}".encode())}


def bearer(text: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {text}".encode()}


def test_a_key_comes_as_stripes_and_razorpays_users_send_it() -> None:
    key, publishable = api_keys.read(SECRET), api_keys.read(PUBLISHABLE)
    assert api_keys.presented(bearer(SECRET)) == Presented(key)
    assert api_keys.presented({b"authorization": f"bearer  {SECRET} ".encode()}) == Presented(key)
    assert api_keys.presented(basic(SECRET)) == Presented(key)
    assert api_keys.presented(basic("apk_1", SECRET)) == Presented(key, key_id="apk_1")
    assert api_keys.presented(basic(PUBLISHABLE, SECRET)) == Presented(key, publishable=publishable)
    assert api_keys.presented({b"x-api-key": SECRET.encode()}) == Presented(key)


@pytest.mark.parametrize("headers", [{}, bearer("eyJhbGciOiJFZERTQSJ9.e30.x"), {b"authorization": b"Digest a"}])
def test_other_credentials_are_no_keys(headers: dict[bytes, bytes]) -> None:
    assert api_keys.presented(headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        bearer("sk_test_nonsense"),
        {b"authorization": b"Basic !!!"},
        {b"authorization": b"Basic " + base64.b64encode(b"\xff\xfe")},
        {b"authorization": b"Basic "},
        basic("admin", "admin"),
        basic(SECRET, PUBLISHABLE),
        basic(SECRET, SECRET),
        basic(PUBLISHABLE, PUBLISHABLE),
        basic("", SECRET),
        {b"x-api-key": b""},
    ],
)
def test_credentials_that_are_meant_as_keys_and_are_none_are_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ApiKeyInvalid):
        api_keys.presented(headers)


def test_two_credentials_in_one_request_are_refused() -> None:
    with pytest.raises(CredentialsAmbiguous):
        api_keys.presented({**bearer("eyJ"), b"x-api-key": SECRET.encode()})


class Identity:
    """Identity's answer, in the test's hands."""

    def __init__(self) -> None:
        self.keys: dict[bytes, pb.ApiKey] = {}
        self.calls: list[Sequence[bytes]] = []
        self.away = False
        self.gate: asyncio.Event | None = None

    async def ResolveApiKeys(self, request: pb.ResolveApiKeysRequest, timeout: float) -> pb.ResolveApiKeysResponse:
        self.calls.append(list(request.digests))
        answer = pb.ResolveApiKeysResponse(
            results=[pb.ResolvedApiKey(api_key=self.keys.get(digest)) for digest in request.digests]
        )
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        return answer

    def add(self, text: str, key_id: str = "apk_1", merchant_id: str = "mer_1", **fields: object) -> Presented:
        read = api_keys.read(text)
        fields.setdefault("api_version", LATEST)
        self.keys[read.digest] = pb.ApiKey(api_key_id=key_id, merchant_id=merchant_id, kind=read.kind, **fields)  # type: ignore[arg-type]
        return Presented(read)


class Monotonic:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def identity() -> Identity:
    return Identity()


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def keys(identity: Identity, monotonic: Monotonic) -> ApiKeys:
    return ApiKeys(identity, monotonic=monotonic)  # type: ignore[arg-type]


async def test_a_key_s_caller_is_its_merchant_and_no_user(keys: ApiKeys, identity: Identity) -> None:
    key = await keys.resolve(identity.add(SECRET), ADDRESS)
    caller = key.caller
    assert (caller.merchant_id, caller.api_key_id, caller.user_id, caller.roles) == ("mer_1", "apk_1", "", frozenset())
    assert (caller.actor_id, caller.is_privileged) == ("apk_1", False)


async def test_an_answer_is_kept_for_five_seconds_and_no_longer(
    keys: ApiKeys, identity: Identity, monotonic: Monotonic
) -> None:
    presented = identity.add(SECRET)
    await asyncio.gather(*(keys.resolve(presented, ADDRESS) for _ in range(10)))
    monotonic.now += 4.9
    await keys.resolve(presented, ADDRESS)
    assert len(identity.calls) == 1
    identity.keys.clear()
    monotonic.now += 0.1
    with pytest.raises(ApiKeyInvalid):
        await keys.resolve(presented, ADDRESS)


async def test_a_revoked_key_is_dropped_at_once(keys: ApiKeys, identity: Identity) -> None:
    presented = identity.add(SECRET)
    other = identity.add(PUBLISHABLE, "apk_2")
    await keys.resolve(presented, ADDRESS)
    await keys.resolve(other, ADDRESS)
    identity.keys.clear()
    keys.drop({"apk_1"})
    with pytest.raises(ApiKeyInvalid):
        await keys.resolve(presented, ADDRESS)
    assert (await keys.resolve(other, ADDRESS)).caller.api_key_id == "apk_2"


async def test_an_answer_from_before_a_revocation_is_not_kept(keys: ApiKeys, identity: Identity) -> None:
    """Identity has read the key, the revocation commits and arrives, then identity's answer arrives."""
    presented = identity.add(SECRET)
    identity.gate = asyncio.Event()
    asking = asyncio.create_task(keys.resolve(presented, ADDRESS))
    await asyncio.sleep(0.05)
    identity.keys.clear()
    keys.drop({"apk_1"})
    identity.gate.set()
    await asking
    with pytest.raises(ApiKeyInvalid):
        await keys.resolve(presented, ADDRESS)


async def test_without_identity_known_keys_go_on_and_others_are_refused(
    keys: ApiKeys, identity: Identity, monotonic: Monotonic
) -> None:
    presented = identity.add(SECRET)
    await keys.resolve(presented, ADDRESS)
    identity.away = True
    await keys.resolve(presented, ADDRESS)
    with pytest.raises(CalleeUnavailable):
        await keys.resolve(identity.add(PUBLISHABLE), ADDRESS)
    monotonic.now += resolution.KEPT_SECONDS
    with pytest.raises(CalleeUnavailable):
        await keys.resolve(presented, ADDRESS)
    identity.away = False
    await keys.resolve(presented, ADDRESS)


async def test_an_unknown_key_is_asked_for_once(keys: ApiKeys, identity: Identity) -> None:
    for _ in range(5):
        with pytest.raises(ApiKeyInvalid):
            await keys.resolve(Presented(api_keys.read(SECRET)), ADDRESS)
    assert len(identity.calls) == 1


async def test_guesses_of_a_network_are_throttled_and_known_keys_go_on(
    keys: ApiKeys, identity: Identity, monotonic: Monotonic
) -> None:
    presented = identity.add(SECRET)
    await keys.resolve(presented, ADDRESS)
    for _ in range(guesses.FAILURES_MAX):
        with pytest.raises(ApiKeyInvalid):
            await keys.resolve(Presented(api_keys.read(api_keys.generate("secret", "live"))), ADDRESS)
    calls = len(identity.calls)
    with pytest.raises(ApiKeyGuessesThrottled) as throttled:
        await keys.resolve(Presented(api_keys.read(api_keys.generate("secret", "live"))), ADDRESS)
    assert 1 <= throttled.value.retry_after_seconds <= guesses.WINDOW_SECONDS + 1
    assert len(identity.calls) == calls
    await keys.resolve(presented, ADDRESS)
    other = identity.add(PUBLISHABLE, "apk_2")
    with pytest.raises(ApiKeyGuessesThrottled):
        await keys.resolve(other, ADDRESS)
    await keys.resolve(other, "198.51.100.1")
    monotonic.now += guesses.WINDOW_SECONDS
    await keys.resolve(other, ADDRESS)


async def test_memory_is_bounded(keys: ApiKeys, identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "KEYS_KEPT_MAX", 3)
    monkeypatch.setattr(guesses, "NETWORKS_MAX", 2)
    presented = identity.add(SECRET)
    await keys.resolve(presented, ADDRESS)
    for number in range(10):
        with pytest.raises(ApiKeyInvalid):
            await keys.resolve(Presented(api_keys.read(api_keys.generate("secret", "live"))), f"198.51.100.{number}")
    calls = len(identity.calls)
    await keys.resolve(presented, ADDRESS)
    assert len(identity.calls) == calls, "invented keys push out none that is used"


async def test_the_user_name_of_basic_must_belong_to_the_key(keys: ApiKeys, identity: Identity) -> None:
    secret = identity.add(SECRET, "apk_1").key
    same = identity.add(PUBLISHABLE, "apk_2").key
    foreign = identity.add(api_keys.generate("publishable", "test"), "apk_3", "mer_2").key
    for good in (Presented(secret, key_id="apk_1"), Presented(secret, publishable=same)):
        assert (await keys.resolve(good, ADDRESS)).caller.api_key_id == "apk_1"
    for wrong in (Presented(secret, key_id="apk_2"), Presented(secret, publishable=foreign)):
        with pytest.raises(ApiKeyInvalid):
            await keys.resolve(wrong, ADDRESS)


async def test_a_kept_key_expires_on_time(keys: ApiKeys, identity: Identity) -> None:
    with pytest.raises(ApiKeyInvalid):
        await keys.resolve(identity.add(SECRET, expires_unix_micros=1), ADDRESS)
    later = identity.add(PUBLISHABLE, expires_unix_micros=4_000_000_000_000_000)
    assert await keys.resolve(later, ADDRESS)


async def test_a_publishable_key_is_bound_to_its_origins(keys: ApiKeys, identity: Identity) -> None:
    key = await keys.resolve(identity.add(PUBLISHABLE, origins=["https://shop.example.com"]), ADDRESS)
    key.check_place("https://shop.example.com", ADDRESS)
    for origin in ("", "null", "https://shop.example.com.evil.test", "http://shop.example.com", "https://example.com"):
        with pytest.raises(ApiKeyOriginNotAllowed):
            key.check_place(origin, ADDRESS)


async def test_a_secret_key_is_bound_to_its_networks(keys: ApiKeys, identity: Identity) -> None:
    free = await keys.resolve(identity.add(SECRET), ADDRESS)
    free.check_place("", "anything")
    bound = identity.add(api_keys.generate("secret", "test"), "apk_2", networks=["203.0.113.0/24", "2001:db8::/32"])
    key = await keys.resolve(bound, ADDRESS)
    for address in ("203.0.113.9", "::ffff:203.0.113.9", "2001:db8:1::5"):
        key.check_place("", address)
    for address in ("203.0.114.1", "2001:db9::1", "", "unix"):
        with pytest.raises(ApiKeyNetworkNotAllowed):
            key.check_place("", address)
