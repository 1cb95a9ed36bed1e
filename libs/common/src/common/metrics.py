"""Metrics of what every service does with its queues, bound once so that counting costs next to nothing.

A lag is worked out when it is read: it grows while nothing moves, whatever it is that stands still.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from common import telemetry
from common.clock import Clock
from common.events import micros

_EVENTS = telemetry.counter(
    "queue_events_total",
    "Events by what became of them: handled (in their batch), retried (later, in the next tier), dead (a dead letter), "
    "split (each alone, since its batch raised), refused (by a transient queue)",
    ["queue", "outcome"],
)
_FORGED = telemetry.counter("queue_forged_total", "Messages that were refused as forged", ["queue"])
_SECONDS = telemetry.histogram(
    "queue_batch_seconds",
    "Time to handle one batch",
    ["queue"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_SIZE = telemetry.histogram("queue_batch_events", "Events of a batch", ["queue"], buckets=(1, 4, 16, 64, 128, 256, 512))
_LAG = telemetry.gauge("queue_lag_seconds", "Age of the oldest envelope that is not handled yet", ["queue"])
_MESSAGES = telemetry.gauge("queue_messages", "Messages that wait in the queue at the broker", ["queue"])
_CONSUMERS = telemetry.gauge("queue_consumers", "Consumers of the queue in all processes", ["queue"])
_PAUSES = telemetry.counter("queue_pauses_total", "Batches that waited for infrastructure", ["queue"])
_OUTBOX_LAG = telemetry.gauge("outbox_lag_seconds", "Age of the oldest envelope that is not confirmed").of()
OUTBOX_UNMARKED = telemetry.gauge("outbox_unmarked", "Envelopes that are committed and not confirmed").of()
OUTBOX_REFUSED = telemetry.gauge("outbox_refused", "Envelopes for which the broker closes the channel").of()
INTENTS_PENDING = telemetry.gauge("intents_pending", "Effects on the outside world that are not executed yet").of()
DEAD_LETTERS_OPEN = telemetry.gauge("dead_letters_open", "Dead letters that nobody has replayed or discarded").of()
_ENGINE_UP = telemetry.gauge(
    "engine_up", "Whether the engine answered at the last look, at most 5 s old: 1 or 0", ["engine"]
)
_POOL = telemetry.gauge("database_pool_connections", "Connections of this process to the database", ["state"])
_POOL_MAX = telemetry.gauge("database_pool_connections_max", "The most that POOL_SIZE allows this process").of()
_CONNECTIONS = telemetry.gauge(
    "database_connections", "Connections at the database server: of this service's role, and of all clients", ["scope"]
)
_CONNECTIONS_MAX = telemetry.gauge(
    "database_connections_max", "The most that the server accepts of this service's role, and of all clients", ["scope"]
)
_WAL_ARCHIVED = telemetry.gauge(
    "database_wal_archived_timestamp_seconds",
    "When the server last archived a WAL segment, in seconds since 1970; 0 where it archives none",
).of()
_BACKED_UP = telemetry.gauge(
    "database_backup_timestamp_seconds",
    "When the last base backup ended, in seconds since 1970; 0 where none is recorded, or no WAL is archived",
).of()


class EngineState:
    """Whether an engine answered when it was last looked at."""

    def __init__(self, engine: str) -> None:
        self._up = _ENGINE_UP.of(engine)

    def answered(self) -> None:
        self._up.set(1)

    def failed(self) -> None:
        self._up.set(0)


def watch_pool(size: Callable[[], int], idle: Callable[[], int], size_max: int) -> None:
    """Export a pool's connections, counted when they are read."""
    _POOL.of("idle").set_function(idle)
    _POOL.of("used").set_function(lambda: size() - idle())
    _POOL_MAX.set(size_max)


class ServerFigures(Struct, frozen=True):
    """What the database server says of itself. Times are in seconds since 1970, 0 where there is none."""

    role_connections: int
    role_connections_max: int
    connections: int
    connections_max: int
    archived_at: float
    backed_up_at: float


def server_found(figures: ServerFigures) -> None:
    """The server was asked."""
    _CONNECTIONS.of("role").set(figures.role_connections)
    _CONNECTIONS_MAX.of("role").set(figures.role_connections_max)
    _CONNECTIONS.of("server").set(figures.connections)
    _CONNECTIONS_MAX.of("server").set(figures.connections_max)
    _WAL_ARCHIVED.set(figures.archived_at)
    _BACKED_UP.set(figures.backed_up_at)


class OutboxLag:
    """Since when the oldest envelope waits. Between two looks at the table, and while it cannot be read, it grows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._oldest_micros: int | None = None
        _OUTBOX_LAG.set_function(self.seconds)

    def found(self, oldest_unix_micros: int | None) -> None:
        """The table was read; None when nothing waits."""
        self._oldest_micros = oldest_unix_micros

    def seconds(self) -> float:
        return _age_seconds(self._clock, self._oldest_micros)


class QueueLag:
    """The age of the oldest envelope in hand; while none is in hand and messages wait at the broker, the time since
    that was first seen without one being handled meanwhile.
    """

    def __init__(self, queue: str, clock: Clock) -> None:
        self._clock = clock
        self._oldest_in_hand_micros: int | None = None
        self._waiting_since_micros: int | None = None
        self._messages = _MESSAGES.of(queue)
        self._consumers = _CONSUMERS.of(queue)
        _LAG.of(queue).set_function(self.seconds)

    def took(self, unix_micros: Iterable[int]) -> None:
        """Envelopes of these times are in hand, until `finished`."""
        self._oldest_in_hand_micros = min(filter(None, unix_micros), default=None)

    def finished(self) -> None:
        self._oldest_in_hand_micros = self._waiting_since_micros = None

    def found_waiting(self, messages: int, consumers: int) -> None:
        """So many messages wait at the broker, and so many consumers are there for them."""
        self._messages.set(messages)
        self._consumers.set(consumers)
        if not messages:
            self._waiting_since_micros = None
        elif self._waiting_since_micros is None:
            self._waiting_since_micros = micros(self._clock.now())

    def seconds(self) -> float:
        in_hand, waiting = self._oldest_in_hand_micros, self._waiting_since_micros
        return _age_seconds(self._clock, waiting if in_hand is None else in_hand)


def _age_seconds(clock: Clock, since_unix_micros: int | None) -> float:
    return 0.0 if since_unix_micros is None else max(0.0, (micros(clock.now()) - since_unix_micros) / 1_000_000)


class QueueMetrics:
    """The children of one queue."""

    def __init__(self, queue: str) -> None:
        self._handled = _EVENTS.of(queue, "handled")
        self._refused = _EVENTS.of(queue, "refused")
        self._retried = _EVENTS.of(queue, "retried")
        self._dead = _EVENTS.of(queue, "dead")
        self._split = _EVENTS.of(queue, "split")
        self._forged = _FORGED.of(queue)
        self._seconds = _SECONDS.of(queue)
        self._size = _SIZE.of(queue)
        self._pauses = _PAUSES.of(queue)

    def handled(self, events: int, seconds: float) -> None:
        self._handled.inc(events)
        self._seconds.observe(seconds)
        self._size.observe(events)

    def refused(self, events: int) -> None:
        if events:
            self._refused.inc(events)

    def retried(self, events: int) -> None:
        if events:
            self._retried.inc(events)

    def dead(self, events: int) -> None:
        if events:
            self._dead.inc(events)

    def forged(self, messages: int) -> None:
        self._forged.inc(messages)

    def split(self, events: int) -> None:
        self._split.inc(events)

    def paused(self) -> None:
        self._pauses.inc()
