"""gRPC endpoints."""

from collections.abc import Sequence

from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1 import wallet_pb2_grpc
from common import ids
from common.batching import Batcher
from common.clock import Clock
from common.database import Database
from common.errors import require_at_most
from common.grpc_server import CallContext
from common.guards import Guards
from wallet import use_cases
from wallet.domain.batch import Result
from wallet.domain.operations import Consumption
from wallet.domain.wallets import TransactionFilter
from wallet.wire import messages

CONSUMPTIONS_MAX = 1000
WALLETS_MAX = 500
TRANSACTIONS_MAX = 200

# One request is one item of the batcher: its consumptions stay together and in order.
Consumptions = Batcher[Sequence[Consumption], Sequence[Result]]
REQUESTS_MAX = 256


def consumptions(db: Database, clock: Clock, guards: Guards) -> Consumptions:
    """What requests to consume wait in while the batch before theirs is being written."""

    async def flush(requests: list[Sequence[Consumption]]) -> list[Sequence[Result]]:
        items = [each for request in requests for each in request]
        results = iter(await use_cases.consume_credits(db, clock, items, guards))
        return [[next(results) for _ in request] for request in requests]

    return Batcher(flush, name="consume_credits", items_max=REQUESTS_MAX)


class WalletServicer(wallet_pb2_grpc.WalletServiceServicer):
    """See protos/commdesk/wallet/v1/wallet.proto."""

    def __init__(self, db: Database, clock: Clock, consumptions: Consumptions) -> None:
        self._db = db
        self._clock = clock
        self._consumptions = consumptions

    async def ConsumeCredits(
        self, request: pb.ConsumeCreditsRequest, context: CallContext
    ) -> pb.ConsumeCreditsResponse:
        require_at_most(CONSUMPTIONS_MAX, items=len(request.items))
        results = await self._consumptions.submit([messages.consumption(item) for item in request.items])
        return messages.consume_response(results)

    async def GetWallets(self, request: pb.GetWalletsRequest, context: CallContext) -> pb.GetWalletsResponse:
        require_at_most(WALLETS_MAX, owners=len(request.owners), wallet_ids=len(request.wallet_ids))
        owners = [messages.owner(owner) for owner in request.owners]
        wallet_ids = [ids.decode("wal", wallet_id) for wallet_id in request.wallet_ids]
        of_owners, by_id = await use_cases.read_wallets(self._db, owners, wallet_ids)
        return messages.wallets_response(owners, of_owners, by_id)

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: CallContext
    ) -> pb.ListTransactionsResponse:
        require_at_most(TRANSACTIONS_MAX, limit=request.limit)
        filter = TransactionFilter(request.limit or TRANSACTIONS_MAX, before_seq=request.before_seq or None)
        transactions = await use_cases.list_transactions(self._db, messages.owner(request.owner), filter)
        return pb.ListTransactionsResponse(transactions=map(messages.transaction_message, transactions))

    async def ListPacks(self, request: pb.ListPacksRequest, context: CallContext) -> pb.ListPacksResponse:
        packs = await use_cases.list_packs(self._db, self._clock, request.merchant_id)
        return pb.ListPacksResponse(packs=map(messages.pack_message, packs))
