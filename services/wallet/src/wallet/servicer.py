"""gRPC endpoints."""

from collections.abc import Sequence
from functools import partial

from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1 import wallet_pb2_grpc
from common import ids
from common.batching import Batcher
from common.clock import Clock
from common.database import Database
from common.errors import require_at_most
from common.grpc_server import CallContext
from common.guards import Guards
from wallet.domain.batch import Result
from wallet.domain.holds import HoldRequest
from wallet.domain.operations import Consumption
from wallet.domain.wallets import TransactionFilter
from wallet.use_cases import credits, holds, wallets
from wallet.use_cases.holds import HoldResult
from wallet.wire import messages

CONSUMPTIONS_MAX = 1000
HOLDS_MAX = 500
FORGIVENESSES_MAX = 100
PAYMENTS_MAX = 1000
WALLETS_MAX = 500
TRANSACTIONS_MAX = 200

# One request is one item of the batcher: its consumptions stay together and in order.
Consumptions = Batcher[Sequence[Consumption], Sequence[Result]]
REQUESTS_MAX = 256


def consumptions(db: Database, clock: Clock, guards: Guards) -> Consumptions:
    """What requests to consume wait in while the batch before theirs is being written."""

    async def flush(requests: list[Sequence[Consumption]]) -> list[Sequence[Result]]:
        items = [each for request in requests for each in request]
        results = iter(await credits.consume_credits(db, clock, items, guards))
        return [[next(results) for _ in request] for request in requests]

    return Batcher(flush, name="consume_credits", items_max=REQUESTS_MAX)


# Requests to hold, the same way: those at once meet in one transaction.
Holds = Batcher[Sequence[HoldRequest], Sequence[HoldResult]]


def holding(db: Database, clock: Clock, guards: Guards) -> Holds:
    """What requests to hold wait in while the batch before theirs is being written."""

    async def flush(requests: list[Sequence[HoldRequest]]) -> list[Sequence[HoldResult]]:
        items = [each for request in requests for each in request]
        results = iter(await holds.hold_credits(db, clock, items, guards))
        return [[next(results) for _ in request] for request in requests]

    return Batcher(flush, name="hold_credits", items_max=REQUESTS_MAX)


class WalletServicer(wallet_pb2_grpc.WalletServiceServicer):
    """See protos/commdesk/wallet/v1/wallet.proto."""

    def __init__(self, db: Database, clock: Clock, guards: Guards, consumptions: Consumptions, holds: Holds) -> None:
        self._db = db
        self._clock = clock
        self._guards = guards
        self._consumptions = consumptions
        self._holds = holds

    async def ConsumeCredits(
        self, request: pb.ConsumeCreditsRequest, context: CallContext
    ) -> pb.ConsumeCreditsResponse:
        require_at_most(CONSUMPTIONS_MAX, items=len(request.items))
        results = await self._consumptions.submit([messages.consumption(item) for item in request.items])
        return messages.consume_response(results)

    async def HoldCredits(self, request: pb.HoldCreditsRequest, context: CallContext) -> pb.HoldCreditsResponse:
        require_at_most(HOLDS_MAX, items=len(request.items))
        results = await messages.each_readable(request.items, self._holds.submit)
        return pb.HoldCreditsResponse(results=messages.hold_results(results))

    async def PreviewHolds(self, request: pb.PreviewHoldsRequest, context: CallContext) -> pb.PreviewHoldsResponse:
        require_at_most(HOLDS_MAX, items=len(request.items))
        results = await messages.each_readable(request.items, partial(holds.preview_holds, self._db, self._clock))
        return pb.PreviewHoldsResponse(results=messages.hold_results(results, is_preview=True))

    async def ForgiveDebts(self, request: pb.ForgiveDebtsRequest, context: CallContext) -> pb.ForgiveDebtsResponse:
        require_at_most(FORGIVENESSES_MAX, items=len(request.items))
        forgivenesses = [messages.forgiveness(item) for item in request.items]
        results = await credits.forgive_debts(self._db, self._clock, forgivenesses, self._guards)
        return messages.forgive_response(results)

    async def ListPaymentGrants(
        self, request: pb.ListPaymentGrantsRequest, context: CallContext
    ) -> pb.ListPaymentGrantsResponse:
        require_at_most(PAYMENTS_MAX, payment_ids=len(request.payment_ids))
        payment_ids = [ids.decode("pay", payment_id) for payment_id in request.payment_ids]
        grants = await wallets.list_payment_grants(self._db, payment_ids)
        return pb.ListPaymentGrantsResponse(grants=map(messages.payment_grant_message, grants))

    async def GetWallets(self, request: pb.GetWalletsRequest, context: CallContext) -> pb.GetWalletsResponse:
        require_at_most(WALLETS_MAX, owners=len(request.owners), wallet_ids=len(request.wallet_ids))
        owners = [messages.owner(owner) for owner in request.owners]
        wallet_ids = [ids.decode("wal", wallet_id) for wallet_id in request.wallet_ids]
        of_owners, by_id = await wallets.read_wallets(self._db, owners, wallet_ids)
        return messages.wallets_response(owners, of_owners, by_id)

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: CallContext
    ) -> pb.ListTransactionsResponse:
        require_at_most(TRANSACTIONS_MAX, limit=request.limit)
        filter = TransactionFilter(request.limit or TRANSACTIONS_MAX, before_seq=request.before_seq or None)
        transactions = await wallets.list_transactions(self._db, messages.owner(request.owner), filter)
        return pb.ListTransactionsResponse(transactions=map(messages.transaction_message, transactions))

    async def ListPacks(self, request: pb.ListPacksRequest, context: CallContext) -> pb.ListPacksResponse:
        packs = await wallets.list_packs(self._db, self._clock, request.merchant_id)
        return pb.ListPacksResponse(packs=map(messages.pack_message, packs))
