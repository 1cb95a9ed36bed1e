"""A client of the wallet's interfaces: lists by gRPC, envelopes by the broker, each confirmed or answered.

`Sender` takes steps in and sends them as lists and envelopes fill. It holds back while too much is under way.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aio_pika
import grpc.aio
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from commdesk.common.v1.common_pb2 import Envelope, Money
from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.payment.v1.payment_pb2 import Payment, Tax
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from commdesk.wallet.v1.wallet_pb2 import ConsumeCreditsResponse
from common import ids
from common.topology import CONTRACT, REQUEUE
from loadtests.wallets import plan, protobuf_encoding
from loadtests.wallets.workload import Step

CALL_SECONDS_MAX = 30.0
CONFIRM_SECONDS_MAX = 30.0
PUBLISHING_MAX = 64
PRODUCER = "bench"
# The broker users that it publishes as: the one that may request consumptions, and the owner of the queue of grants.
CONSUMER, GRANTER = "community-api", "wallet"

_CONSUME_EVENT = CONTRACT.events[WalletConsumeRequested.DESCRIPTOR.full_name]
# A payment's success is announced to half the fleet, and the payments behind these grants do not exist: so they
# go to the one queue they concern, addressed to it, as redeliveries from the retry tiers are.
_GRANTS = "wallet.credit"
_CONSUME = "/commdesk.wallet.v1.WalletService/ConsumeCredits"


class Sender:
    """Sends steps to the wallets of *owners*: spends by gRPC (*wallet*) and by the broker, grants by the broker.

    *channels* are those of the broker users CONSUMER and GRANTER.
    """

    def __init__(
        self,
        wallet: grpc.aio.Channel,
        channels: Mapping[str, AbstractChannel],
        owners: Sequence[str],
        grpc_share: float,
    ) -> None:
        self._call = wallet.unary_unary(
            _CONSUME, request_serializer=None, response_deserializer=ConsumeCreditsResponse.FromString
        )
        self._channels = channels
        self._owners = owners
        self._encoded_owners = [protobuf_encoding.owner(owner) for owner in owners]
        self._keys: list[bytes] = []
        self._grpc_share = grpc_share
        self._calls = asyncio.Semaphore(plan.GRPC_CALLS)
        self._publishing = asyncio.Semaphore(PUBLISHING_MAX)
        self._by_grpc: list[bytes] = []
        self._by_broker: list[bytes] = []
        self._grants: list[bytes] = []
        self._micros = b""
        self._spends = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.refused: Counter[str] = Counter()

    async def send(self, steps: Iterable[Step]) -> None:
        """Send *steps* as lists fill; returns when the last one is on its way or waits for its list to fill."""
        for step in steps:
            if not step.credits:
                await self._grant(step.wallet, plan.CREDITS_PAID, plan.CREDITS_BONUS)
            else:
                await self._spend(step.wallet, step.credits)

    async def open(self, grants: Iterable[tuple[int, int]]) -> None:
        """Grant (wallet, credits) to make the wallets."""
        for wallet, credits in grants:
            await self._grant(wallet, credits, 0)

    async def finish(self) -> None:
        """Send what is left in the lists and wait until all is answered and confirmed. Raises what went wrong."""
        await self._send_spends_by_grpc()
        await self._send_spends_by_broker()
        await self._send_grants()
        await asyncio.gather(*self._under_way)

    async def _spend(self, wallet: int, credits: int) -> None:
        if not self._keys:
            self._keys, self._micros = protobuf_encoding.keys()[::-1], protobuf_encoding.varint(_now())
        key = self._keys.pop()
        spend = protobuf_encoding.consumption(key, self._encoded_owners[wallet], credits)
        self._spends += 1
        # Every so many-th, evenly: the share is met exactly, whatever the order.
        if int(self._spends * self._grpc_share) > int((self._spends - 1) * self._grpc_share):
            self._by_grpc.append(protobuf_encoding.item(spend))
            if len(self._by_grpc) == plan.GRPC_ITEMS:
                await self._send_spends_by_grpc()
            return
        self._by_broker.append(protobuf_encoding.request(key, self._micros, spend))
        if len(self._by_broker) == plan.ENVELOPE_EVENTS:
            await self._send_spends_by_broker()

    async def _grant(self, wallet: int, paid: int, bonus: int) -> None:
        self._grants.append(_granted(self._owners[wallet], paid, bonus).SerializeToString())
        if len(self._grants) == plan.ENVELOPE_EVENTS:
            await self._send_grants()

    async def _send_spends_by_grpc(self) -> None:
        items, self._by_grpc = self._by_grpc, []
        if items:
            await self._calls.acquire()
            self._start(self._call_wallet(b"".join(items)), self._calls, len(items))

    async def _send_spends_by_broker(self) -> None:
        events, self._by_broker = self._by_broker, []
        await self._publish(events, _CONSUME_EVENT.type, CONSUMER, _CONSUME_EVENT.exchange, _CONSUME_EVENT.key)

    async def _send_grants(self) -> None:
        events, self._grants = self._grants, []
        await self._publish(events, PaymentSucceeded.DESCRIPTOR.full_name, GRANTER, REQUEUE, _GRANTS)

    async def _publish(self, events: list[bytes], type_name: str, user: str, exchange: str, routing_key: str) -> None:
        if events:
            await self._publishing.acquire()
            envelope_id = ids.new()
            envelope = Envelope(
                id=envelope_id.bytes, type=type_name, producer=PRODUCER, time_unix_micros=_now(), events=events
            )
            properties = Basic.Properties(
                message_id=str(envelope_id), message_type=type_name, delivery_mode=2, user_id=user
            )
            work = self._confirmed(envelope.SerializeToString(), properties, exchange, routing_key)
            self._start(work, self._publishing, len(events))

    def _start(self, work: Coroutine[Any, Any, None], slots: asyncio.Semaphore, count: int) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        self.sent += count

        def ended(task: asyncio.Task[None]) -> None:
            slots.release()
            if not task.cancelled() and task.exception() is None:  # what failed stays, for `finish` to raise
                self._under_way.discard(task)

        task.add_done_callback(ended)

    async def _call_wallet(self, request: bytes) -> None:
        response = await self._call(request, timeout=CALL_SECONDS_MAX)
        for result in response.results:
            if result.HasField("error"):
                self.refused[result.error.code] += 1

    async def _confirmed(self, body: bytes, properties: Basic.Properties, exchange: str, routing_key: str) -> None:
        assert properties.user_id is not None
        await self._channels[properties.user_id].basic_publish(
            body,
            exchange=exchange,
            routing_key=routing_key,
            properties=properties,
            mandatory=True,
            timeout=CONFIRM_SECONDS_MAX,
        )


def _granted(owner_id: str, paid: int, bonus: int) -> PaymentSucceeded:
    payment_id = ids.new()
    nothing = Money(minor=0, currency="INR")
    return PaymentSucceeded(
        event_id=ids.encode("evt", payment_id),
        time_unix_micros=_now(),
        payment=Payment(
            payment_id=ids.encode("pay", payment_id),
            merchant_id=plan.MERCHANT_ID,
            owner_kind="USER",
            owner_id=owner_id,
            credits_paid=paid,
            credits_bonus=bonus,
            amount=nothing,
            tax=Tax(net=nothing),
        ),
    )


def _now() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def publishing_channels(urls: Mapping[str, str]) -> AsyncIterator[dict[str, AbstractChannel]]:
    """Channels with confirms by user, without the conveniences that cost more than the publishing."""
    async with AsyncExitStack() as stack:
        channels = {}
        for user in (CONSUMER, GRANTER):
            connection = await stack.enter_async_context(await aio_pika.connect(urls[user], timeout=5))
            channel = await connection.channel(publisher_confirms=True)
            channels[user] = await channel.get_underlay_channel()
        yield channels
