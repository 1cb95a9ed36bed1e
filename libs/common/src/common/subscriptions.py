"""What a service does with the events of its queues: one row for each message type, and what becomes of refusals."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol

from google.protobuf.message import Message
from msgspec import Struct
from typing_extensions import TypeVar

from common.database import Tx
from common.errors import (
    KINDS,
    Conflict,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    KeyReused,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unresolved,
    kind_of,
)

M = TypeVar("M", bound=Message, default=Any)
E = TypeVar("E", default=Any)
E_contra = TypeVar("E_contra", contravariant=True)
F = TypeVar("F", default=Any)
F_contra = TypeVar("F_contra", contravariant=True)

# A batch takes envelopes until it holds so many events; what a transaction costs whatever its size is little by then.
BATCH_EVENTS_MAX = 512

# Whether an event that is refused with this kind of error is tried again on the retry schedule; if not, the error is
# permanent and the event goes straight to the dead letters. What waits for something that is not there yet is a
# FailedPrecondition (OrderNotKnownYet), not a NotFound.
IS_RETRIED: Mapping[type[DomainError], bool] = {
    Unavailable: True,
    FailedPrecondition: True,
    ResourceExhausted: True,
    Unresolved: True,
    Conflict: True,
    InvalidArgument: False,
    NotFound: False,
    KeyReused: False,
    Unauthenticated: False,
    PermissionDenied: False,
    TooLarge: False,
}
assert IS_RETRIED.keys() == set(KINDS), "every kind of error is either retried or permanent"


def is_retried(error: DomainError) -> bool:
    """Whether an event that is refused with *error* is tried again on the retry schedule."""
    return IS_RETRIED[kind_of(error)]


class Retry(Struct, Generic[E], frozen=True):
    """What becomes of a refused event, for handlers that announce it."""

    event: E
    error: DomainError
    # How often it has been tried by now.
    attempt: int
    # No retry tier is left, or the error is permanent.
    dead: bool


class DeadEvent(Struct, Generic[M], frozen=True):
    """An event that went to the dead letters, whatever the way: refused, undecodable, raised on, or given up by the
    broker. *message* is as it came."""

    message: M
    error_code: str


class OnRetry(Protocol):
    def __call__(self, tx: Tx, /, retries: Sequence[Retry[Any]]) -> Awaitable[None]: ...


Outcomes = Sequence[DomainError | None] | None


class Handler(Protocol[E_contra]):
    def __call__(self, tx: Tx, events: Sequence[E_contra], /) -> Awaitable[Outcomes]:
        """For each event, in order, why it is refused, or None; None alone when all of them are handled."""
        ...


class FetchingHandler(Protocol[E_contra, F_contra]):
    def __call__(self, tx: Tx, events: Sequence[E_contra], snapshot: F_contra, /) -> Awaitable[Outcomes]:
        """As Handler, with what was fetched before the transaction; it may be stale by now."""
        ...


class Subscription(Struct, Generic[M, E, F], frozen=True):
    """One message type on one queue.

    `handle(tx, events)` runs in the transaction that claims the events. With `fetch`, `fetch(events)` runs before it
    and reads the outside, and handle gets the result as a third argument. `on_retry(tx, retries)` runs in the
    handler's transaction after events were refused. `on_dead(tx, events)` runs when they are stored as dead letters,
    however they came there, and says so to who tracks them; the alert is common's.
    """

    queue: str
    message: type[M]
    decode: Callable[[M], E]
    handle: Handler[E] | FetchingHandler[E, F]
    fetch: Callable[[Sequence[E]], Awaitable[F]] | None = None
    on_retry: OnRetry | None = None
    on_dead: Callable[[Tx, Sequence[DeadEvent[M]]], Awaitable[None]] | None = None
    # Nobody waits for its effects: batches may wait for more company. A queue is so when all on it are.
    low_priority: bool = False
    # More than the usual where events of one batch have much in common. A queue takes the most of what is on it.
    events_max: int = BATCH_EVENTS_MAX

    @property
    def type(self) -> str:
        return self.message.DESCRIPTOR.full_name


class TransientSubscription(Struct, Generic[M, E], frozen=True):
    """One message type on a queue that every replica has for itself and that goes with its connection.

    For what only this process's memory needs: `handle(events)` has no transaction and no inbox, and may meet an event
    twice. What is announced while the replica is not connected never arrives: who needs it polls for it as well.
    """

    # A row of [[transients]] in bindings.toml.
    queue: str
    message: type[M]
    decode: Callable[[M], E]
    handle: Callable[[Sequence[E]], Awaitable[None]]

    @property
    def type(self) -> str:
        return self.message.DESCRIPTOR.full_name
