"""The contract of protos/bindings.toml as data: what is announced where, who listens, who may call whom."""

import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module, resources
from pathlib import Path

from aio_pika.abc import AbstractChannel, ExchangeType
from aiormq.abc import FieldTable
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct

DEAD_LETTERS = ".dlq"
# A consumer that is killed counts for every message it had prefetched, so the limit is far above one bad event's tries.
DELIVERY_LIMIT = 50


class Event(Struct, frozen=True):
    """Where one message type is announced."""

    type: str
    exchange: str
    key: str
    producers: tuple[str, ...]
    # The field that fills the `{…}` of the key, if there is one.
    key_field: str | None
    # Somebody listens, so an unroutable message is a fault and comes back.
    mandatory: bool

    def routing_key(self, message: Message) -> str:
        if self.key_field is None:
            return self.key
        return self.key.replace("{" + self.key_field + "}", getattr(message, self.key_field))


class Queue(Struct, frozen=True):
    name: str
    owner: str
    # (exchange, pattern) pairs.
    bindings: tuple[tuple[str, str], ...]

    @property
    def dead_letters(self) -> str:
        return self.name + DEAD_LETTERS


class Contract(Struct, frozen=True):
    exchanges: tuple[str, ...]
    events: dict[str, Event]
    queues: tuple[Queue, ...]
    # gRPC method, or "/package.Service/*", → those who may call it.
    calls: dict[str, frozenset[str]]

    def exchanges_of(self, service: str) -> set[str]:
        """The exchanges that *service* announces on."""
        return {event.exchange for event in self.events.values() if {service, "*"} & set(event.producers)}

    def queues_of(self, service: str) -> tuple[Queue, ...]:
        return tuple(queue for queue in self.queues if queue.owner == service)

    def listeners(self, exchange: str, key: str) -> tuple[Queue, ...]:
        """The queues that a message with this key reaches."""
        return tuple(
            queue
            for queue in self.queues
            if any(bound == exchange and matches(pattern, key) for bound, pattern in queue.bindings)
        )


def matches(pattern: str, key: str) -> bool:
    """Topic matching as RabbitMQ does it, for patterns of words and `*` (the contract uses no `#`)."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[^.]+"), key) is not None


def load(text: str) -> Contract:
    """Read the binding table. Raises ValueError when it contradicts itself."""
    table = tomllib.loads(text)
    exchanges = tuple(table["exchanges"])
    queues = tuple(
        Queue(row["name"], row["owner"], tuple((exchange, key) for exchange, key in row["bindings"]))
        for row in table["queues"]
    )
    unknown = {exchange for queue in queues for exchange, _ in queue.bindings} - set(exchanges)
    unknown |= {row["exchange"] for row in table["events"]} - set(exchanges)
    if unknown:
        raise ValueError(f"bindings.toml names exchanges that it does not declare: {sorted(unknown)}")
    events = {}
    for row in table["events"]:
        field = re.search(r"{(\w+)}", row["key"])
        example = re.sub(r"{\w+}", "x", row["key"])
        events[row["type"]] = Event(
            type=row["type"],
            exchange=row["exchange"],
            key=row["key"],
            producers=tuple(row["producers"]),
            key_field=field.group(1) if field else None,
            mandatory=any(
                bound == row["exchange"] and matches(pattern, example)
                for queue in queues
                for bound, pattern in queue.bindings
            ),
        )
    calls = {row["method"]: frozenset(row["callers"]) for row in table["calls"]}
    return Contract(exchanges, events, queues, calls)


CONTRACT = load(resources.files("commdesk").joinpath("bindings.toml").read_text())


@lru_cache(maxsize=1024)
def allowed_callers(method: str) -> frozenset[str]:
    """Who may call the gRPC *method* ("/package.Service/Method"); nobody when the table does not name it."""
    service = method.rpartition("/")[0]
    return CONTRACT.calls.get(method) or CONTRACT.calls.get(f"{service}/*") or frozenset()


@lru_cache(maxsize=256)
def message_type(name: str) -> type[Message]:
    """The generated class of a full message name. Raises KeyError for a type that the contract does not know."""
    if name not in CONTRACT.events:
        raise KeyError(name)
    # The generated module registers its classes when it is imported: package = path = import.
    package = name.rpartition(".")[0]
    folder = resources.files(package)
    for module in sorted(entry.name for entry in folder.iterdir() if entry.name.endswith("_pb2.py")):
        import_module(f"{package}.{Path(module).stem}")
    return GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def retry_tier(ttl_ms: int) -> str:
    """The name of the retry tier with this delay; the delay is part of the name because a queue's TTL cannot change."""
    return f"retry.{ttl_ms}ms"


def queue_arguments() -> FieldTable:
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}


def home_arguments(queue: Queue) -> FieldTable:
    """A home queue: what exceeds the delivery limit goes to the dead letters, at least once.

    At-least-once dead-lettering needs reject-publish; without an explicit policy RabbitMQ falls back to at-most-once.
    """
    return queue_arguments() | {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue.dead_letters,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def tier_arguments(ttl_ms: int) -> FieldTable:
    """A retry tier: what expires goes to the default exchange under its routing key, the home queue's name."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": ttl_ms,
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare(channel: AbstractChannel, retry_schedule_ms: Sequence[int]) -> None:
    """Declare the whole contract; idempotent. Only the migrate step and `commdesk doctor --fix` call it."""
    for name in CONTRACT.exchanges:
        await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)
    for ttl_ms in retry_schedule_ms:
        exchange = await channel.declare_exchange(retry_tier(ttl_ms), ExchangeType.FANOUT, durable=True)
        waiting = await channel.declare_queue(retry_tier(ttl_ms), durable=True, arguments=tier_arguments(ttl_ms))
        await waiting.bind(exchange)
    for queue in CONTRACT.queues:
        await channel.declare_queue(queue.dead_letters, durable=True, arguments=queue_arguments())
        home = await channel.declare_queue(queue.name, durable=True, arguments=home_arguments(queue))
        for exchange_name, key in queue.bindings:
            await home.bind(exchange_name, key)


async def check(channel: AbstractChannel, service: str, retry_schedule_ms: Sequence[int]) -> None:
    """Fail with the broker's answer when something that *service* needs is missing; declares nothing."""
    for name in sorted(CONTRACT.exchanges_of(service)):
        await channel.get_exchange(name, ensure=True)
    for ttl_ms in retry_schedule_ms:
        await channel.get_exchange(retry_tier(ttl_ms), ensure=True)
    for queue in CONTRACT.queues_of(service):
        await channel.get_queue(queue.name, ensure=True)
        await channel.get_queue(queue.dead_letters, ensure=True)
