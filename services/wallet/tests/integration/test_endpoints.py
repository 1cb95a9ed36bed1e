"""The gRPC and HTTP endpoints."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub, add_WalletServiceServicer_to_server
from common import grpc_client, ids
from common.clock import FakeClock
from common.database import Database
from common.grpc_server import serve_grpc
from common.http_server import ServerConfig, app
from common.testing import public_key
from common.tokens import Caller, ServiceTokens, TokenInvalid
from wallet import routes, use_cases
from wallet.servicer import WalletServicer, consumptions

from .. import builders as make
from ..oracle import violations

ASHA = pb.Owner(merchant_id="mer_commdesk", kind="USER", id="usr_asha")


def item(credits: int, key: str, owner: pb.Owner = ASHA) -> pb.Consumption:
    return pb.Consumption(operation_key=key, owner=owner, credits=credits, purpose="boost", source_id="post-1")


@pytest_asyncio.fixture
async def granted(db: Database, clock: FakeClock) -> None:
    async with db.begin() as tx:
        await use_cases.grant_credits(tx, clock, [make.grant()])


@pytest_asyncio.fixture
async def stub(db: Database, clock: FakeClock, service_keys: dict[str, str]) -> AsyncIterator[Any]:
    known = {name: public_key(key) for name, key in service_keys.items()}
    servicer = WalletServicer(db, clock, consumptions(db, clock))
    server = await serve_grpc(
        0, [(add_WalletServiceServicer_to_server, servicer)], ServiceTokens("wallet", service_keys["wallet"], known)
    )
    caller = ServiceTokens("community-api", service_keys["community-api"], known)
    async with grpc_client.channel(f"127.0.0.1:{server.port}", caller, "wallet") as channel:
        yield WalletServiceStub(channel)
    await server.stop(0)


async def test_each_consumption_has_its_own_result(stub: WalletServiceStub, granted: None) -> None:
    asked = pb.ConsumeCreditsRequest(
        items=[item(550, "a"), item(9000, "b"), item(0, "c"), item(550, "a"), item(1, "a")]
    )
    results = (await stub.ConsumeCredits(asked, timeout=5)).results
    assert results[0].transaction.credits == -550
    assert results[0].transaction.balance_after == 4950
    assert results[0].transaction.type == pb.TRANSACTION_TYPE_CONSUME
    assert results[3].transaction == results[0].transaction
    assert [(result.error.code, result.error.kind) for result in results if result.HasField("error")] == [
        ("wallet_insufficient_credits", "FailedPrecondition"),
        ("consumption_invalid", "InvalidArgument"),
        ("operation_key_reused", "KeyReused"),
    ]
    assert dict(results[2].error.fields) == {"credits": "1 to 2147483648"}


async def test_requests_at_once_share_batches_and_keep_their_results_apart(
    stub: WalletServiceStub, granted: None, db: Database
) -> None:
    requests = [pb.ConsumeCreditsRequest(items=[item(n, f"{n}-x"), item(n, f"{n}-y")]) for n in range(1, 41)]
    answers = await asyncio.gather(*(stub.ConsumeCredits(request, timeout=10) for request in requests))
    for n, answer in enumerate(answers, 1):
        assert [result.transaction.operation_key for result in answer.results] == [f"{n}-x", f"{n}-y"]
        assert {result.transaction.credits for result in answer.results} == {-n}
    assert not await violations(db)


async def test_a_thousand_consumptions_are_one_request_and_no_more(stub: WalletServiceStub, granted: None) -> None:
    full = pb.ConsumeCreditsRequest(items=[item(1, f"k{n}") for n in range(1000)])
    results = (await stub.ConsumeCredits(full, timeout=10)).results
    assert [result.transaction.seq for result in results] == list(range(2, 1002))
    full.items.append(item(1, "one too many"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ConsumeCredits(full, timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_wallets_transactions_and_packs_can_be_read(stub: WalletServiceStub, granted: None) -> None:
    await stub.ConsumeCredits(pb.ConsumeCreditsRequest(items=[item(550, "a")]), timeout=5)
    nobody = pb.Owner(merchant_id="mer_commdesk", kind="USER", id="usr_nobody")
    found = (await stub.GetWallets(pb.GetWalletsRequest(owners=[ASHA, nobody]), timeout=5)).wallets
    assert [(wallet.owner.id, wallet.available, wallet.lifetime_purchased, wallet.seq) for wallet in found] == [
        ("usr_asha", 4950, 5000, 2),
        ("usr_nobody", 0, 0, 0),
    ]
    assert found[1].wallet_id == ""
    by_id = (await stub.GetWallets(pb.GetWalletsRequest(wallet_ids=[found[0].wallet_id]), timeout=5)).wallets
    assert list(by_id) == [found[0]]
    listed = (await stub.ListTransactions(pb.ListTransactionsRequest(owner=ASHA, limit=10), timeout=5)).transactions
    assert [(done.seq, done.credits) for done in listed] == [(2, -550), (1, 5500)]
    older = await stub.ListTransactions(pb.ListTransactionsRequest(owner=ASHA, before_seq=2), timeout=5)
    assert [done.seq for done in older.transactions] == [1]
    packs = (await stub.ListPacks(pb.ListPacksRequest(merchant_id="mer_commdesk"), timeout=5)).packs
    assert [(pack.pack_id, pack.price.minor, pack.credits_paid + pack.credits_bonus) for pack in packs] == [
        ("pack_150", 15_000, 1500),
        ("pack_300", 30_000, 3200),
        ("pack_500", 50_000, 5500),
        ("pack_1000", 100_000, 12_000),
    ]
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.GetWallets(pb.GetWalletsRequest(wallet_ids=["wal_nonsense"]), timeout=5)


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class NamesAreTokens:
    async def authenticate(self, token: str) -> Caller:
        if not token.startswith("usr_"):
            raise TokenInvalid("unknown")
        return Caller(token, "mer_commdesk")


@pytest_asyncio.fixture
async def http(db: Database, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    asgi = app(routes.routes(db, clock, "mer_commdesk"), ServerConfig("wallet", NamesAreTokens()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url="http://wallet") as client:
        yield client


def as_(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {user}"}


async def test_callers_see_their_own_wallet(http: httpx.AsyncClient, granted: None) -> None:
    body = (await http.get("/api/v1/wallet", headers=as_("usr_asha"))).json()
    assert body["success"]
    assert body["data"].pop("walletId").startswith("wal_")
    assert body["data"] == {
        "available": 5500,
        "locked": 0,
        "pending": 0,
        "lifetimePurchased": 5000,
        "lots": [{"expiresAt": None, "paid": 5000, "bonus": 500}],
    }
    other = (await http.get("/api/v1/wallet", headers=as_("usr_ravi"))).json()["data"]
    assert (other["walletId"], other["available"], other["lots"]) == (None, 0, [])
    assert (await http.get("/api/v1/wallet")).status_code == 401


async def test_transactions_come_in_pages_newest_first(
    http: httpx.AsyncClient, granted: None, db: Database, clock: FakeClock
) -> None:
    clock.advance(3600)
    await use_cases.consume_credits(db, clock, [make.consumption(credits) for credits in (1, 2, 3)])
    seen, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/api/v1/wallet/transactions", params=parameters, headers=as_("usr_asha"))).json()[
            "data"
        ]
        seen += [done["credits"] for done in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == [-3, -2, -1, 5500]


@pytest.mark.parametrize(
    ("filters", "credits"),
    [
        ({"type": "GRANT"}, [5500]),
        ({"type": "CONSUME"}, [-1]),
        ({"from": "2026-01-01T00:30:00Z"}, [-1]),
        ({"to": "2026-01-01T00:30:00+00:00"}, [5500]),
        ({"from": "2026-01-01T01:00:00Z", "to": "2026-01-01T01:00:00Z"}, []),
    ],
)
async def test_transactions_can_be_filtered(
    http: httpx.AsyncClient, granted: None, db: Database, clock: FakeClock, filters: dict[str, str], credits: list[int]
) -> None:
    clock.advance(3600)
    await use_cases.consume_credits(db, clock, [make.consumption(1)])
    page = (await http.get("/api/v1/wallet/transactions", params=filters, headers=as_("usr_asha"))).json()["data"]
    assert [done["credits"] for done in page["items"]] == credits


@pytest.mark.parametrize(
    "wrong",
    [{"limit": "0"}, {"limit": "201"}, {"cursor": "x"}, {"type": "STEAL"}, {"from": "yesterday"}, {"user": "x"}],
)
async def test_a_wrong_filter_is_named(http: httpx.AsyncClient, wrong: dict[str, str]) -> None:
    answer = await http.get("/api/v1/wallet/transactions", params=wrong, headers=as_("usr_asha"))
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == list(wrong)


async def test_packs_are_public_and_a_withdrawn_version_is_gone(
    http: httpx.AsyncClient, db: Database, clock: FakeClock
) -> None:
    clock.advance(86_400)
    async with db.begin() as tx:
        await tx.execute("update packs set active_to = '2026-01-02T00:00:00Z' where pack_id = 'pack_150'")
    packs = (await http.get("/api/v1/packs")).json()["data"]
    assert [(pack["packId"], pack["amount"], pack["creditsTotal"]) for pack in packs] == [
        ("pack_300", 30_000, 3200),
        ("pack_500", 50_000, 5500),
        ("pack_1000", 100_000, 12_000),
    ]
    assert (await http.get("/api/v1/packs", params={"merchantId": "mer_other"})).json()["data"] == []


# ── Timelines ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_payment_a_wallet_and_a_user_have_their_timelines(db: Database, clock: FakeClock) -> None:
    first, second = make.grant(paid=100, bonus=0, net=100), make.grant(paid=100, bonus=0, net=100)
    async with db.begin() as tx:
        for each in (first, second):
            await use_cases.grant_credits(tx, clock, [each])
    await use_cases.consume_credits(db, clock, [make.consumption(100, "all of the first")])
    [last] = await use_cases.consume_credits(db, clock, [make.consumption(1, "of the second")])

    async def timeline_of(reference: str) -> SimpleNamespace:
        async with db.begin() as tx:
            timeline = await use_cases.timeline(tx, reference)
        return SimpleNamespace(
            keys=[entry.fields["operationKey"] for entry in timeline.entries], also=timeline.references
        )

    paid = await timeline_of(first.source_id)
    assert paid.keys == [first.operation_key, "all of the first"]
    [wallet_id] = [reference for reference in paid.also if reference.startswith("wal_")]
    for reference in (wallet_id, "usr_asha"):
        assert len((await timeline_of(reference)).keys) == 4
    assert (await timeline_of(wallet_id)).also == sorted([wallet_id, "usr_asha", first.source_id, second.source_id])
    assert (await timeline_of(ids.encode("wtx", last.id))).keys == ["of the second"]
    assert (await timeline_of("ord_of_somebody_else")).keys == []
