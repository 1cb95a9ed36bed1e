"""The contract of protos/bindings.toml as data: what is announced where, who listens, who may call whom."""

import re
import tomllib
from functools import lru_cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct

from common.services import SERVICES

DEAD_LETTERS = ".dlq"
# Every queue is bound to it by its own name: what goes to one queue alone goes this way.
REQUEUE = "requeue.exchange"
# Among producers, owners and callers: every service, and no user outside of them.
EVERY_SERVICE = "*"


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

    def is_announced_by(self, user: str) -> bool:
        return is_among(self.producers, user)

    def has_key(self, key: str) -> bool:
        """Whether *key* is this event's, whatever fills it: one word."""
        return re.fullmatch(self.key_pattern, key) is not None

    @property
    def key_pattern(self) -> str:
        """The keys of this event, as a regular expression of the broker's kind and Python's."""
        fixed = self.key.split("{" + self.key_field + "}") if self.key_field else [self.key]
        return "[^.]+".join(re.escape(part) for part in fixed)

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


class Transient(Struct, frozen=True):
    """Queues of single replicas, each gone with its connection."""

    name: str
    owners: tuple[str, ...]
    # (exchange, pattern) pairs.
    bindings: tuple[tuple[str, str], ...]

    def prefix(self, service: str) -> str:
        """What the names of *service*'s queues begin with; a random word follows."""
        return f"{service}.{self.name}."


class Contract(Struct, frozen=True):
    exchanges: tuple[str, ...]
    events: dict[str, Event]
    queues: tuple[Queue, ...]
    transients: tuple[Transient, ...]
    # gRPC method, or "/package.Service/*", → those who may call it.
    calls: dict[str, frozenset[str]]

    def exchanges_of(self, service: str) -> set[str]:
        """The exchanges that *service* announces on."""
        return {event.exchange for event in self.events.values() if event.is_announced_by(service)}

    def events_at(self, exchange: str, key: str) -> tuple[Event, ...]:
        """The events that are announced there."""
        return tuple(event for event in self.events.values() if event.exchange == exchange and event.has_key(key))

    def queues_of(self, service: str) -> tuple[Queue, ...]:
        return tuple(queue for queue in self.queues if queue.owner == service)

    def queue(self, name: str) -> Queue:
        """Raises KeyError."""
        return {queue.name: queue for queue in self.queues}[name]

    def transients_of(self, service: str) -> tuple[Transient, ...]:
        return tuple(transient for transient in self.transients if is_among(transient.owners, service))

    def transient(self, name: str) -> Transient:
        """Raises KeyError."""
        return {transient.name: transient for transient in self.transients}[name]

    def listeners(self, exchange: str, key: str) -> tuple[Queue, ...]:
        """The queues that a message with this key reaches."""
        return tuple(
            queue
            for queue in self.queues
            if any(bound == exchange and matches(pattern, key) for bound, pattern in queue.bindings)
        )


def is_among(names: tuple[str, ...], user: str) -> bool:
    return user in names or (EVERY_SERVICE in names and user in SERVICES)


def matches(pattern: str, key: str) -> bool:
    """Topic matching as RabbitMQ does it, for patterns of words and `*` (the contract uses no `#`)."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[^.]+"), key) is not None


def load(text: str) -> Contract:
    """Read the binding table. Raises ValueError when it contradicts itself."""
    table = tomllib.loads(text)
    exchanges = tuple(table["exchanges"])
    queues = tuple(Queue(row["name"], row["owner"], _bindings(row)) for row in table["queues"])
    transients = tuple(
        Transient(row["name"], tuple(row["owners"]), _bindings(row)) for row in table.get("transients", [])
    )
    bindings = [*(queue.bindings for queue in queues), *(transient.bindings for transient in transients)]
    unknown = {exchange for several in bindings for exchange, _ in several} - set(exchanges)
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
    calls = {row["method"]: _callers(row) for row in table["calls"]}
    return Contract(exchanges, events, queues, transients, calls)


def _callers(row: dict[str, Any]) -> frozenset[str]:
    callers = frozenset(row["callers"])
    return (callers - {EVERY_SERVICE}) | SERVICES.keys() if EVERY_SERVICE in callers else callers


def _bindings(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((exchange, key) for exchange, key in row["bindings"])


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
