"""Messages that somebody else than the load sends: the community API, or the owner of a queue."""

import time
from collections.abc import Sequence

import aio_pika

from commdesk.wallet.v1 import wallet_pb2
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from common import envelopes, ids, topology
from ops.journey import MERCHANT, Member
from tests.faults.environment import Environment

COMMUNITY_API = "community-api"


def consumption(member: Member, credits: int, key: str) -> wallet_pb2.Consumption:
    """A request to spend a member's credits on the platform."""
    owner = wallet_pb2.Owner(merchant_id=MERCHANT, kind="USER", id=member.user_id)
    return wallet_pb2.Consumption(
        operation_key=key, owner=owner, credits=credits, purpose="platform.boost", source_id=key
    )


def requested(*items: wallet_pb2.Consumption) -> bytes:
    """An envelope of requests to consume, as the community API sends it."""
    type_name = WalletConsumeRequested.DESCRIPTOR.full_name
    events = [
        WalletConsumeRequested(
            event_id=ids.encode("evt", ids.new()), time_unix_micros=time.time_ns() // 1000, consumption=item
        ).SerializeToString()
        for item in items
    ]
    _, body = envelopes.seal(COMMUNITY_API, type_name, events)
    return body


async def request_consumption(environment: Environment, body: bytes) -> None:
    """Announce requests to consume in the name of the community API, as it does."""
    event = topology.CONTRACT.events[WalletConsumeRequested.DESCRIPTOR.full_name]
    async with environment.broker(COMMUNITY_API) as channel:
        message = aio_pika.Message(body, type=event.type, delivery_mode=2, user_id=COMMUNITY_API)
        exchange = await channel.get_exchange(event.exchange, ensure=False)
        await exchange.publish(message, routing_key=event.key)


async def send(environment: Environment, queue: str, messages: Sequence[aio_pika.Message]) -> None:
    """Put messages straight into a queue, as its owner does."""
    owner = topology.CONTRACT.queue(queue).owner
    async with environment.broker(owner) as channel:
        exchange = await channel.get_exchange(topology.REQUEUE, ensure=False)
        for message in messages:
            message.user_id = owner
            await exchange.publish(message, routing_key=queue)
