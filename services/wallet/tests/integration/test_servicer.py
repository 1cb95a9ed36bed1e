"""The gRPC endpoints, over real sockets."""

import asyncio

import grpc
import pytest
import pytest_asyncio

from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common.clock import FakeClock
from common.database import Database
from common.testing import Served
from wallet.use_cases import credits

from .. import builders as make
from ..oracle import violations

ASHA = pb.Owner(merchant_id="mer_commdesk", kind="USER", id="usr_asha")


def item(credits: int, key: str, owner: pb.Owner = ASHA) -> pb.Consumption:
    return pb.Consumption(operation_key=key, owner=owner, credits=credits, purpose="boost", source_id="post-1")


@pytest_asyncio.fixture
async def granted(db: Database, clock: FakeClock) -> None:
    async with db.begin() as tx:
        await credits.grant_credits(tx, clock, [make.grant()])


@pytest.fixture
def stub(wallet: Served) -> WalletServiceStub:
    return WalletServiceStub(wallet.channel("community-api"))


async def test_each_consumption_has_its_own_result(stub: WalletServiceStub, granted: None) -> None:
    request = pb.ConsumeCreditsRequest(
        items=[item(550, "a"), item(9000, "b"), item(0, "c"), item(550, "a"), item(1, "a")]
    )
    results = (await stub.ConsumeCredits(request, timeout=5)).results
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
    wallets = (await stub.GetWallets(pb.GetWalletsRequest(owners=[ASHA, nobody]), timeout=5)).wallets
    assert [(wallet.owner.id, wallet.available, wallet.lifetime_purchased, wallet.seq) for wallet in wallets] == [
        ("usr_asha", 4950, 5000, 2),
        ("usr_nobody", 0, 0, 0),
    ]
    assert wallets[1].wallet_id == ""
    by_id = (await stub.GetWallets(pb.GetWalletsRequest(wallet_ids=[wallets[0].wallet_id]), timeout=5)).wallets
    assert list(by_id) == [wallets[0]]
    listed = (await stub.ListTransactions(pb.ListTransactionsRequest(owner=ASHA, limit=10), timeout=5)).transactions
    assert [(each.seq, each.credits) for each in listed] == [(2, -550), (1, 5500)]
    older = await stub.ListTransactions(pb.ListTransactionsRequest(owner=ASHA, before_seq=2), timeout=5)
    assert [each.seq for each in older.transactions] == [1]
    packs = (await stub.ListPacks(pb.ListPacksRequest(merchant_id="mer_commdesk"), timeout=5)).packs
    assert [(pack.pack_id, pack.price.minor, pack.credits_paid + pack.credits_bonus) for pack in packs] == [
        ("pack_150", 15_000, 1500),
        ("pack_300", 30_000, 3200),
        ("pack_500", 50_000, 5500),
        ("pack_1000", 100_000, 12_000),
    ]
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.GetWallets(pb.GetWalletsRequest(wallet_ids=["wal_nonsense"]), timeout=5)
