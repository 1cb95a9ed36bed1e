"""The wallet service's packs on sale, cached for a minute; while the wallet is away the last list serves."""

import asyncio
import time

import grpc
from loguru import logger

from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common.errors import DomainError
from common.money import Money
from payment.domain.errors import PacksUnavailable, PackUnknown
from payment.domain.pricing import Credits, Pack

FRESH_SECONDS = 60.0
TIMEOUT_SECONDS = 1.0


class Packs:
    """Packs by merchant, refreshed in the background."""

    def __init__(self, stub: WalletServiceStub) -> None:
        self._stub = stub
        self._lists: dict[str, tuple[float, dict[str, Pack]]] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    async def find(self, merchant_id: str, pack_id: str) -> Pack:
        """The pack on sale. Raises PackUnknown, or PacksUnavailable when no list was ever read."""
        read_at, packs = self._lists.get(merchant_id, (float("-inf"), {}))
        if time.monotonic() - read_at > FRESH_SECONDS:
            refresh = self._refresh(merchant_id)
            if not packs:
                await asyncio.shield(refresh)
                if merchant_id not in self._lists:
                    raise PacksUnavailable
                packs = self._lists[merchant_id][1]
        if pack_id not in packs:
            raise PackUnknown(packId="is not on sale")
        return packs[pack_id]

    def _refresh(self, merchant_id: str) -> asyncio.Task[None]:
        """One call at a time for each merchant."""
        refresh = self._refreshing.get(merchant_id)
        if refresh is None:
            refresh = self._refreshing[merchant_id] = asyncio.create_task(self._read(merchant_id), name="packs")
            refresh.add_done_callback(lambda _: self._refreshing.pop(merchant_id, None))
        return refresh

    async def _read(self, merchant_id: str) -> None:
        try:
            response = await self._stub.ListPacks(pb.ListPacksRequest(merchant_id=merchant_id), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            logger.warning("packs cannot be read: {}", error.code().name)
            return
        packs = {}
        for message in response.packs:
            try:
                packs[message.pack_id] = _pack(message)
            except DomainError as error:  # the others are still on sale
                logger.warning("the pack {} cannot be sold: {}", message.pack_id, error.code)
        self._lists[merchant_id] = (time.monotonic(), packs)


def _pack(message: pb.Pack) -> Pack:
    return Pack(
        message.pack_id,
        message.version,
        Money(message.price.minor, message.price.currency),
        Credits(message.credits_paid, message.credits_bonus),
    )
