"""The gRPC door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1 import wallet_pb2_grpc
from common import ids
from common.batching import Batcher
from common.clock import Clock
from common.database import Database
from common.errors import InvalidArgument
from wallet import store, use_cases, wire
from wallet.domain import Consumption, Result

CONSUMPTIONS_MAX = 1000
WALLETS_MAX = 500
TRANSACTIONS_MAX = 200

# One request is one item of the batcher: its consumptions stay together and in order.
Consumptions = Batcher[Sequence[Consumption], Sequence[Result]]
REQUESTS_MAX = 256


class TooManyItems(InvalidArgument):
    """The request holds more items than one call takes."""

    fix = "Split the request."


def consumptions(db: Database, clock: Clock) -> Consumptions:
    """What requests to consume wait in while the batch before theirs is being written."""

    async def flush(requests: list[Sequence[Consumption]]) -> list[Sequence[Result]]:
        results = iter(await use_cases.consume_credits(db, clock, [each for request in requests for each in request]))
        return [[next(results) for _ in request] for request in requests]

    return Batcher(flush, name="consume_credits", items_max=REQUESTS_MAX)


class WalletServicer(wallet_pb2_grpc.WalletServiceServicer):
    """See protos/commdesk/wallet/v1/wallet.proto."""

    def __init__(self, db: Database, clock: Clock, consumptions: Consumptions) -> None:
        self._db = db
        self._clock = clock
        self._consumptions = consumptions

    async def ConsumeCredits(self, request: pb.ConsumeCreditsRequest, call: Any) -> pb.ConsumeCreditsResponse:
        _at_most(CONSUMPTIONS_MAX, items=len(request.items))
        results = await self._consumptions.submit([wire.consumption(item) for item in request.items])
        return wire.consume_response(results)

    async def GetWallets(self, request: pb.GetWalletsRequest, call: Any) -> pb.GetWalletsResponse:
        _at_most(WALLETS_MAX, owners=len(request.owners), wallet_ids=len(request.wallet_ids))
        owners = [wire.owner(owner) for owner in request.owners]
        wallet_ids = [ids.decode("wal", wallet_id) for wallet_id in request.wallet_ids]
        async with self._db.begin() as tx:
            of_owners = await store.wallets_of(tx, owners)
            by_id = await store.wallets_by_id(tx, wallet_ids)
        return wire.wallets_response(owners, of_owners, by_id)

    async def ListTransactions(self, request: pb.ListTransactionsRequest, call: Any) -> pb.ListTransactionsResponse:
        _at_most(TRANSACTIONS_MAX, limit=request.limit)
        async with self._db.begin() as tx:
            found = await store.transactions_page(
                tx, wire.owner(request.owner), request.limit or TRANSACTIONS_MAX, before_seq=request.before_seq or None
            )
        return pb.ListTransactionsResponse(transactions=map(wire.transaction_message, found))

    async def ListPacks(self, request: pb.ListPacksRequest, call: Any) -> pb.ListPacksResponse:
        async with self._db.begin() as tx:
            packs = await store.packs_on_sale(tx, request.merchant_id, self._clock.now())
        return pb.ListPacksResponse(packs=map(wire.pack_message, packs))


def _at_most(most: int, /, **counts: int) -> None:
    """Raises TooManyItems, naming the fields whose count is above *most* or below zero."""
    wrong = {name: f"0 to {most}" for name, count in counts.items() if not 0 <= count <= most}
    if wrong:
        raise TooManyItems(f"at most {most}", **wrong)
