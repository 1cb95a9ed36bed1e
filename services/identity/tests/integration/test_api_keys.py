"""API keys over HTTP as administrators manage them, over gRPC as services and operators ask, and in the database."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import httpx
import pytest
from msgspec.structs import replace

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import api_keys, grpc_client, ids
from common.api_keys import KNOWN_KEYS, ApiKeyInvalid, ApiKeys, Presented, ResolvedKey
from common.api_versions import LATEST
from common.authorization import Authorizer
from common.clock import FakeClock
from common.context import Context
from common.database import Database
from common.errors import RightsOutdated
from common.permissions import TABLE
from common.revocation_feed import RevocationFeed
from common.runtime import Resources
from common.testing import Served, published
from identity.__main__ import create_admin
from identity.domain.api_keys import IssuedKey, KeyChange, KeyRevocation, Rotation
from identity.domain.errors import ApiKeyNotFound
from identity.domain.step_up import StepUpPolicy
from identity.settings import Settings
from identity.use_cases import api_keys as use_cases
from identity.use_cases import known_keys
from identity.use_cases.api_key_resolution import ApiKeyResolution
from identity.use_cases.known_keys import KnownKeys
from services.identity.tests.integration import test_merchants

Json = dict[str, Any]
Call = Callable[..., Awaitable[Json]]
Resolve = Callable[[str], Awaitable[ResolvedKey]]
PAYMENTS = ["payments.create", "payments.read"]
ADDRESS = "203.0.113.7"
STEP_UP = StepUpPolicy(timedelta(minutes=15), second_factor_required=False)


@pytest.fixture
async def admin(http: httpx.AsyncClient, settings: Settings) -> Json:
    await create_admin(settings, "root@example.com", "Root", "an administrator's")
    body = {"email": "root@example.com", "password": "an administrator's"}
    return (await http.post("/api/v1/users/login", json=body)).json()["data"]  # type: ignore[no-any-return]


@pytest.fixture
def call(http: httpx.AsyncClient, admin: Json) -> Call:
    """What the administrator is answered."""

    async def call(method: str, path: str = "", status: int = 200, **options: Any) -> Json:
        headers = {"Authorization": f"Bearer {admin['token']}"}
        response = await http.request(method, f"/api/v1/api-keys{path}", headers=headers, **options)
        assert response.status_code == status, response.text
        document: Json = response.json()
        return document["data"] if status < 400 else document["error"]  # type: ignore[no-any-return]

    return call


@pytest.fixture
def stub(identity: Served) -> Any:
    return IdentityServiceStub(identity.channel("payment"))  # type: ignore[no-untyped-call]


@pytest.fixture
def memory(stub: Any) -> ApiKeys:
    """What a service knows of keys."""
    return ApiKeys(stub)


@pytest.fixture
def resolve(stub: Any) -> Resolve:
    """As a service that knows no key yet. Raises ApiKeyInvalid."""

    async def resolve(text: str) -> ResolvedKey:
        return await ApiKeys(stub).resolve(Presented(api_keys.read(text)), ADDRESS)

    return resolve


async def create(call: Call, **changes: object) -> Json:
    return await call("POST", status=201, json={"kind": "secret", "name": "Shop", **changes})


async def test_a_key_is_shown_once_and_stored_as_a_hash(call: Call, db: Database, resolve: Resolve) -> None:
    created = await create(call, permissions=PAYMENTS, networks=["203.0.113.7", "2001:db8::/32"])
    text, shown = created["key"], created["apiKey"]
    assert text.startswith("sk_live_")
    assert (shown["prefix"], shown["lastFour"], shown["status"]) == ("sk_live_", text[-4:], "active")
    assert (shown["permissions"], shown["networks"]) == (PAYMENTS, ["2001:db8::/32", "203.0.113.7/32"])
    assert (shown["apiVersion"], shown["expiresAt"], shown["lastUsedAt"]) == (LATEST, None, None)
    assert await call("GET", f"/{shown['apiKeyId']}") == shown
    assert (await call("GET"))["items"] == [shown]
    async with db.begin() as tx:
        stored = str(dict((await tx.execute("select * from api_keys")).one()))
        announced = str(await tx.execute("select body from outbox"))
    digest = api_keys.read(text).digest
    for secret in (text, text[8:-4], digest.hex(), str(digest)):
        assert secret not in stored
        assert secret not in announced
    key = await resolve(text)
    assert (key.caller.merchant_id, key.caller.api_key_id) == ("mer_commdesk", shown["apiKeyId"])
    assert key.networks == ("2001:db8::/32", "203.0.113.7/32")


async def test_a_reader_of_the_database_cannot_test_guesses(call: Call, db: Database) -> None:
    """The stored hash is no function of the key alone: another index key makes another hash."""
    from common import seals
    from identity.store.api_keys import key_hash

    text = (await create(call))["key"]
    async with db.begin() as tx:
        stored = bytes((await tx.execute("select key_hash from api_keys")).scalar_one())
        assert stored == key_hash(tx.sealer, api_keys.read(text).digest)
    assert stored != api_keys.read(text).digest
    assert stored != key_hash(seals.generated(), api_keys.read(text).digest)


async def test_a_publishable_key_needs_origins(call: Call, resolve: Resolve) -> None:
    created = await create(
        call, kind="publishable", origins=["https://Shop.example.com/", "https://shop.example.com:8443"]
    )
    assert created["key"].startswith("key_live_")
    key = await resolve(created["key"])
    assert key.origins == {"https://shop.example.com", "https://shop.example.com:8443"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "publishable"}, "origins"),
        ({"kind": "publishable", "origins": ["http://shop.example.com"]}, "origins"),
        ({"kind": "publishable", "origins": ["https://shop.example.com/page"]}, "origins"),
        ({"kind": "publishable", "origins": ["https://*.example.com"]}, "origins"),
        ({"kind": "publishable", "origins": ["https://u:p@example.com"]}, "origins"),
        ({"kind": "publishable", "origins": ["https://a.example b"]}, "origins"),
        ({"kind": "publishable", "origins": ["https://a.example:99999"]}, "origins"),
        ({"kind": "publishable", "origins": ["null"]}, "origins"),
        ({"kind": "publishable", "origins": [f"https://{n}.example.com" for n in range(51)]}, "origins"),
        ({"kind": "publishable", "origins": ["https://a.example"], "networks": ["10.0.0.0/8"]}, "networks"),
        ({"origins": ["https://a.example"]}, "origins"),
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"networks": ["everywhere"]}, "networks"),
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"permissions": ["payments.create", "users.manage"]}, "permissions"),
        ({"permissions": ["no such"]}, "permissions"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "2060-01-01T00:00:00Z"}, "expiresAt"),
    ],
)
async def test_what_a_key_cannot_be_is_named(call: Call, db: Database, body: Json, field: str) -> None:
    error = await call("POST", status=400, json={"kind": "secret", "name": "Shop", **body})
    assert (error["code"], field in error["fields"]) == ("request_invalid", True)
    async with db.begin() as tx:
        assert (await tx.execute("select count(*) from api_keys")).scalar() == 0


async def test_a_revoked_key_opens_nothing_and_stays_revoked(
    call: Call, resolve: Resolve, memory: ApiKeys, resources: Resources, stub: Any, db: Database
) -> None:
    created = await create(call)
    text, key_id = created["key"], created["apiKey"]["apiKeyId"]
    await memory.resolve(Presented(api_keys.read(text)), ADDRESS)
    assert (await call("DELETE", f"/{key_id}"))["status"] == "revoked"
    [announced] = [event for _, event in await published(db, "identity.access.revoked")]
    assert (announced.api_key_id, announced.user_id, announced.session_id) == (key_id, "", "")
    # Until the announcement, or five seconds, the service believes what it was told.
    await memory.resolve(Presented(api_keys.read(text)), ADDRESS)
    feed = RevocationFeed(resources.user_tokens.revocations, memory, stub)
    await feed.subscription.handle([feed.subscription.decode(announced)])
    with pytest.raises(ApiKeyInvalid):
        await memory.resolve(Presented(api_keys.read(text)), ADDRESS)
    with pytest.raises(ApiKeyInvalid):
        await resolve(text)
    assert (await call("DELETE", f"/{key_id}"))["status"] == "revoked"
    assert len(await published(db, "identity.access.revoked")) == 1
    assert (await call("PATCH", f"/{key_id}", 409, json={"name": "New"}))["code"] == "api_key_ended"
    assert (await call("POST", f"/{key_id}/rotate", 409, json={}))["code"] == "api_key_ended"


async def test_a_rotated_key_goes_on_for_the_overlap(call: Call, resolve: Resolve, clock: FakeClock) -> None:
    created = await create(call, permissions=PAYMENTS)
    old, old_id = created["key"], created["apiKey"]["apiKeyId"]
    rotated = await call("POST", f"/{old_id}/rotate", 201, json={"overlapHours": 2})
    new, shown = rotated["key"], rotated["apiKey"]
    assert (shown["replaces"], shown["permissions"], shown["expiresAt"]) == (old_id, PAYMENTS, None)
    assert (await resolve(old)).caller.merchant_id == (await resolve(new)).caller.merchant_id
    at_once = await call("POST", f"/{shown['apiKeyId']}/rotate", 201, json={"overlapHours": 0})
    with pytest.raises(ApiKeyInvalid):
        await resolve(new)
    for hours in (-1, 169, 10**12):
        path = f"/{at_once['apiKey']['apiKeyId']}/rotate"
        assert "overlapHours" in (await call("POST", path, 400, json={"overlapHours": hours}))["fields"]
    clock.advance(seconds=2 * 3_600)
    with pytest.raises(ApiKeyInvalid):
        await resolve(old)
    await resolve(at_once["key"])


async def test_a_successor_lives_as_long_as_the_key_was_meant_to(call: Call, db: Database, clock: FakeClock) -> None:
    expires_at = clock.now() + timedelta(days=10)
    created = await create(call, expiresAt=expires_at.isoformat())
    key_id = ids.decode("apk", created["apiKey"]["apiKeyId"])
    clock.advance(seconds=4 * 86_400)
    rotation = Rotation("mer_commdesk", key_id, timedelta(hours=1), "usr_1", Context())
    [rotated] = await use_cases.rotate_keys(db, clock, STEP_UP, [rotation])
    assert isinstance(rotated, IssuedKey)
    assert rotated.key.limits.expires_at == expires_at + timedelta(days=4)


async def test_a_key_expires(call: Call, resolve: Resolve, clock: FakeClock) -> None:
    created = await create(call, expiresAt=(clock.now() + timedelta(hours=1)).isoformat())
    await resolve(created["key"])
    clock.advance(seconds=3_600)
    with pytest.raises(ApiKeyInvalid):
        await resolve(created["key"])
    assert (await call("GET"))["items"][0]["status"] == "expired"


async def test_a_change_is_announced_and_audited(call: Call, resolve: Resolve, db: Database) -> None:
    created = await create(call)
    path = f"/{created['apiKey']['apiKeyId']}"
    changed = await call("PATCH", path, json={"permissions": PAYMENTS, "networks": ["198.51.100.0/24"]})
    assert (changed["permissions"], changed["networks"], changed["name"]) == (PAYMENTS, ["198.51.100.0/24"], "Shop")
    assert (await resolve(created["key"])).networks == ("198.51.100.0/24",)
    assert await call("PATCH", path, json={"name": "Shop"}) == changed
    audits = [event for _, event in await published(db, "audit.recorded")]
    [made, change] = [audit for audit in audits if audit.resource_type == "api_key"]
    assert (made.action, change.action) == ("api_key.created", "api_key.changed")
    assert change.resource_id == created["apiKey"]["apiKeyId"]
    assert '"networks":[]' in change.before_json
    assert "198.51.100.0/24" in change.after_json
    [announced] = [event for _, event in await published(db, "identity.access.revoked")]
    assert announced.reason == "api_key_changed"
    assert "permissions" in (await call("PATCH", path, 400, json={"permissions": ["users.manage"]}))["fields"]


async def test_keys_of_other_merchants_are_not_there(call: Call, db: Database, clock: FakeClock) -> None:
    created = await create(call)
    key_id, here = ids.decode("apk", created["apiKey"]["apiKeyId"]), Context()
    assert await use_cases.list_keys(db, "mer_other", None, 10) == []
    with pytest.raises(ApiKeyNotFound):
        await use_cases.read_key(db, "mer_other", key_id)
    change = KeyChange("mer_other", key_id, "New", None, None, None, None, "usr_1", here)
    rotation = Rotation("mer_other", key_id, timedelta(0), "usr_1", here)
    revocation = KeyRevocation("mer_other", key_id, "revoked", "usr_1", here)
    for results in (
        await use_cases.change_keys(db, clock, STEP_UP, [change]),
        await use_cases.rotate_keys(db, clock, STEP_UP, [rotation]),
        await use_cases.revoke_keys(db, clock, STEP_UP, [revocation]),
    ):
        assert [type(result) for result in results] == [ApiKeyNotFound]
    assert (await call("GET", f"/{created['apiKey']['apiKeyId']}"))["status"] == "active"
    assert (await call("GET", f"/{ids.encode('apk', ids.new())}", 404))["code"] == "api_key_not_found"
    assert (await call("GET", "/apk_x", 400))["code"] == "id_invalid"


async def test_a_merchant_has_so_many_keys_however_many_are_made_at_once(
    http: httpx.AsyncClient, admin: Json, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "KEYS_MAX", 3)

    async def attempt() -> int:
        body = {"kind": "secret", "name": "Shop"}
        headers = {"Authorization": f"Bearer {admin['token']}"}
        response = await http.post("/api/v1/api-keys", headers=headers, json=body)
        assert response.status_code == 201 or response.json()["error"]["code"] == "api_key_limit_reached"
        return response.status_code

    assert Counter(await asyncio.gather(*(attempt() for _ in range(8)))) == {201: 3, 409: 5}
    newest = (await call("GET"))["items"][0]["apiKeyId"]
    assert (await call("POST", f"/{newest}/rotate", 409, json={"overlapHours": 1}))["code"] == "api_key_limit_reached"
    await call("POST", f"/{newest}/rotate", 201, json={"overlapHours": 0})


async def test_pages_of_keys(call: Call) -> None:
    made = [(await create(call, name=f"Key {number}"))["apiKey"]["apiKeyId"] for number in range(5)]
    first = await call("GET", "?limit=3")
    second = await call("GET", f"?limit=3&cursor={first['nextCursor']}")
    assert [each["apiKeyId"] for each in first["items"] + second["items"]] == made[::-1]
    assert second["nextCursor"] is None


async def test_keys_need_step_up(http: httpx.AsyncClient, call: Call, clock: FakeClock) -> None:
    created = await create(call)
    clock.advance(seconds=901)
    path = f"/{created['apiKey']['apiKeyId']}"
    for method, suffix, body in (
        ("POST", "", {"kind": "secret", "name": "x"}),
        ("PATCH", path, {}),
        ("DELETE", path, None),
    ):
        options = {} if body is None else {"json": body}
        assert (await call(method, suffix, 403, **options))["code"] == "step_up_required"
    assert (await call("POST", f"{path}/rotate", 403, json={}))["code"] == "step_up_required"


async def test_members_manage_no_keys(
    http: httpx.AsyncClient, form: Callable[..., dict[str, str]], bearer: Callable[[Json], dict[str, str]]
) -> None:
    entered = form()
    await http.post("/api/v1/users/signup", json=entered)
    body = {name: entered[name] for name in ("email", "password")}
    session = (await http.post("/api/v1/users/login", json=body)).json()["data"]
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"/{ids.encode('apk', ids.new())}")):
        response = await http.request(method, f"/api/v1/api-keys{path}", headers=bearer(session))
        assert response.status_code == 403


async def test_uses_are_written_in_batches(call: Call, identity: Served, resolve: Resolve, clock: FakeClock) -> None:
    created = await create(call)
    await resolve(created["key"])
    used_at = clock.now()
    assert (await call("GET"))["items"][0]["lastUsedAt"] is None
    clock.advance(seconds=10)
    await identity.run_job("write_api_key_uses")
    assert (await call("GET"))["items"][0]["lastUsedAt"][:19] == used_at.isoformat()[:19]
    await identity.run_job("write_api_key_uses")


async def test_keys_of_a_merchant_that_is_not_active_open_nothing(call: Call, resolve: Resolve, db: Database) -> None:
    created = await create(call)
    async with db.begin() as tx:
        await tx.execute("update merchants set status = 'INACTIVE' where merchant_id = 'mer_commdesk'")
    with pytest.raises(ApiKeyInvalid):
        await resolve(created["key"])


async def test_known_keys_are_keys_of_local_stacks_alone(
    db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "MERCHANT_ID", "mer_nobody")
    await KnownKeys(db, clock).seed()
    monkeypatch.undo()
    seeding = KnownKeys(db, clock)
    for _ in range(2):
        await KnownKeys(db, clock).seed()
    await seeding.seed()
    digests = [api_keys.read(text).digest for text in KNOWN_KEYS.values()]
    here = await ApiKeyResolution(db, clock, known_keys=True).resolve(digests)
    assert [(key.merchant_id, key.kind) for key in here if key is not None] == [
        ("mer_commdesk_test", "publishable"),
        ("mer_commdesk_test", "secret"),
    ]
    # A database that came from a local stack opens nothing elsewhere.
    assert await ApiKeyResolution(db, clock, known_keys=False).resolve(digests) == [None, None]


async def test_a_call_is_bounded_and_every_service_may_ask(identity: Served) -> None:
    stub: Any = IdentityServiceStub(identity.channel("wallet"))  # type: ignore[no-untyped-call]
    many = [bytes([number % 256, number // 256]) * 16 for number in range(501)]
    answer = await stub.ResolveApiKeys(pb.ResolveApiKeysRequest(digests=many[:500]), timeout=2)
    assert [result.HasField("api_key") for result in answer.results] == [False] * 500
    with pytest.raises(grpc.aio.AioRpcError, match="at most 500") as refused:
        await stub.ResolveApiKeys(pb.ResolveApiKeysRequest(digests=many), timeout=2)
    assert grpc_client.errors_from(refused.value).code == "limit_exceeded"


async def test_operators_make_list_and_end_keys(identity: Served, resolve: Resolve, db: Database) -> None:
    stub: Any = IdentityServiceStub(identity.channel("operator"))  # type: ignore[no-untyped-call]
    new = pb.NewApiKey(merchant_id="mer_commdesk", kind="secret", name="Shop", permissions=PAYMENTS)
    unknown = pb.NewApiKey(merchant_id="mer_nobody", kind="secret", name="Shop")
    request = pb.IssueApiKeysRequest(keys=[new, unknown], actor="operator:asha")
    made, refused = (await stub.IssueApiKeys(request, timeout=2)).results
    assert refused.error.code == "merchant_not_found"
    assert (await resolve(made.text)).caller.api_key_id == made.key.key.api_key_id
    listed = (await stub.ListApiKeys(pb.ListApiKeysRequest(merchant_id="mer_commdesk"), timeout=2)).keys
    assert [(each.name, each.status, each.created_by) for each in listed] == [("Shop", "active", "operator:asha")]
    end = pb.RevokeApiKeysRequest(
        api_key_ids=[made.key.key.api_key_id, ids.encode("apk", ids.new())], actor="operator:asha", reason="leaked"
    )
    ended, absent = (await stub.RevokeApiKeys(end, timeout=2)).results
    assert (ended.key.status, absent.error.code) == ("revoked", "api_key_not_found")
    async with db.begin() as tx:
        assert (await tx.execute("select revoked_because from api_keys")).scalar() == "leaked"
    for wrong in (
        pb.IssueApiKeysRequest(keys=[new]),
        pb.IssueApiKeysRequest(keys=[pb.NewApiKey(merchant_id="mer_commdesk", kind="admin", name="x")], actor="a"),
        pb.IssueApiKeysRequest(keys=[new] * 101, actor="a"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.IssueApiKeys(wrong, timeout=2)
        assert grpc_client.errors_from(error.value).code in ("request_invalid", "limit_exceeded")
    others: Any = IdentityServiceStub(identity.channel("payment"))  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError, match="may not call"):
        await others.IssueApiKeys(request, timeout=2)


async def test_an_act_by_key_is_decided_by_what_the_key_is_now(
    call: Call, identity: Served, resolve: Resolve, db: Database
) -> None:
    """As payment asks before it refunds: without a session, and without anything to prove anew."""
    created = await create(call, permissions=["refunds.create"])
    path = f"/{created['apiKey']['apiKeyId']}"
    caller = (await resolve(created["key"])).caller
    authorizer = Authorizer(IdentityServiceStub(identity.channel("payment")))  # type: ignore[no-untyped-call]
    await authorizer.require(caller, "refunds.create")
    for wrong, permission in (
        (caller, "refunds.create_unlimited"),
        (caller, "users.manage"),
        (replace(caller, merchant_id="mer_other"), "refunds.create"),
        (replace(caller, api_key_id=ids.encode("apk", ids.new())), "refunds.create"),
        (replace(caller, api_key_id="apk_x"), "refunds.create"),
    ):
        with pytest.raises(RightsOutdated):
            await authorizer.require(wrong, permission)
    await call("PATCH", path, json={"permissions": ["payments.read"]})
    with pytest.raises(RightsOutdated):
        await authorizer.require(caller, "refunds.create")
    await call("PATCH", path, json={"permissions": ["refunds.create"]})
    await authorizer.require(caller, "refunds.create")
    await call("DELETE", path)
    with pytest.raises(RightsOutdated):
        await authorizer.require(caller, "refunds.create")


@pytest.fixture
def owner_and_developer(http: httpx.AsyncClient, form: Callable[..., dict[str, str]], db: Database) -> Any:
    """Sessions of an owner of a merchant and of a developer, for the environment that is asked for."""

    async def ask(method: str, path: str, session: Json | None = None, status: int = 200, **options: Any) -> Json:
        headers = {"Authorization": f"Bearer {session['token']}"} if session else {}
        response = await http.request(method, f"/api/v1{path}", headers=headers, **options)
        assert response.status_code == status, response.text
        document: Json = response.json()
        return document["data"] if status < 400 else document["error"]  # type: ignore[no-any-return]

    async def somebody() -> Json:
        entered = form()
        await ask("POST", "/users/signup", status=202, json=entered)
        body = {name: entered[name] for name in ("email", "password")}
        return await ask("POST", "/users/login", json=body)

    async def owner_and_developer(environment: str = "live") -> tuple[Json, Json, Any]:
        owner, developer = await somebody(), await somebody()
        account = await test_merchants.make(ask, owner)
        developer = await test_merchants.join(ask, db, owner, developer, "DEVELOPER")
        merchant_id = test_merchants.merchant_of(account, environment)
        if environment != "live":
            owner = await test_merchants.switch(ask, owner, merchant_id)
            developer = await test_merchants.switch(ask, developer, merchant_id)
        return owner, developer, ask

    return owner_and_developer


@pytest.mark.parametrize("environment", ["live", "test"])
async def test_a_merchants_own_people_manage_the_keys_of_the_environment_that_they_act_for(
    owner_and_developer: Any, resolve: Resolve, environment: str
) -> None:
    owner, developer, ask = await owner_and_developer(environment)
    body = {"kind": "secret", "name": "Shop"}
    created = await ask("POST", "/api-keys", owner, 201, json=body)
    assert created["key"].startswith(f"sk_{environment}_")
    assert (await resolve(created["key"])).caller.merchant_id == owner["merchantId"]
    assert [each["apiKeyId"] for each in (await ask("GET", "/api-keys", developer))["items"]] == [
        created["apiKey"]["apiKeyId"]
    ]


async def test_nobody_gives_a_key_more_than_they_have(owner_and_developer: Any) -> None:
    """A developer may not refund: neither by a key of their own, nor by the text of one that an owner made."""
    owner, developer, ask = await owner_and_developer()
    body = {"kind": "secret", "name": "Shop"}
    made = (await ask("POST", "/api-keys", owner, 201, json=body))["apiKey"]
    path = f"/api-keys/{made['apiKeyId']}"
    for permissions in (None, ["payments.read", "refunds.create"]):
        refused = await ask("POST", "/api-keys", developer, 403, json={**body, "permissions": permissions})
        assert refused["code"] == "api_key_rights_exceeded"
    own = (await ask("POST", "/api-keys", developer, 201, json={**body, "permissions": PAYMENTS}))["apiKey"]
    for method, suffix, change in (("POST", "/rotate", {}), ("PATCH", "", {"networks": []})):
        assert (await ask(method, path + suffix, developer, 403, json=change))["code"] == "api_key_rights_exceeded"
    wider = {"permissions": ["refunds.create"]}
    refused = await ask("PATCH", f"/api-keys/{own['apiKeyId']}", developer, 403, json=wider)
    assert refused["code"] == "api_key_rights_exceeded"
    await ask("POST", f"/api-keys/{own['apiKeyId']}/rotate", developer, 201, json={})
    # Taking rights away needs no rights.
    assert (await ask("DELETE", path, developer))["status"] == "revoked"


async def test_who_has_lost_the_right_meanwhile_makes_no_key(owner_and_developer: Any, db: Database) -> None:
    """Decided by the rows under their lock, whatever the token says."""
    _, developer, ask = await owner_and_developer()
    async with db.begin() as tx:
        await tx.execute("update memberships set roles = '{VIEWER}' where roles = '{DEVELOPER}'")
    body = {"kind": "secret", "name": "Shop", "permissions": PAYMENTS}
    assert (await ask("POST", "/api-keys", developer, 403, json=body))["code"] == "rights_outdated"
    assert (await ask("GET", "/api-keys", developer))["items"] == []


async def test_keys_of_a_suspended_account_open_nothing(
    owner_and_developer: Any, resolve: Resolve, db: Database
) -> None:
    owner, _, ask = await owner_and_developer("test")
    created = await ask("POST", "/api-keys", owner, 201, json={"kind": "secret", "name": "Shop"})
    async with db.begin() as tx:
        await tx.execute("update accounts set status = 'SUSPENDED' where account_id <> 'acc_commdesk'")
    with pytest.raises(ApiKeyInvalid):
        await resolve(created["key"])


def test_owners_may_make_keys_that_may_everything() -> None:
    of_keys = {name for name, row in TABLE.permissions.items() if row.keys}
    assert of_keys <= TABLE.of_member({"OWNER"})
