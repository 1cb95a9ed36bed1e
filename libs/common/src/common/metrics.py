"""Metrics of what every service does with its queues, bound once so that counting costs next to nothing."""

from common import telemetry

_EVENTS = telemetry.counter("queue_events_total", "Events by what became of them", ["queue", "outcome"])
_FORGED = telemetry.counter("queue_forged_total", "Messages that were refused as forged", ["queue"])
_SECONDS = telemetry.histogram(
    "queue_batch_seconds",
    "Time to handle one batch",
    ["queue"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_SIZE = telemetry.histogram("queue_batch_events", "Events of a batch", ["queue"], buckets=(1, 4, 16, 64, 128, 256, 512))
_LAG = telemetry.gauge("queue_lag_seconds", "Age of the newest handled envelope", ["queue"])
_PAUSES = telemetry.counter("queue_pauses_total", "Batches that waited for infrastructure", ["queue"])
OUTBOX_UNMARKED = telemetry.gauge("outbox_unmarked", "Envelopes that are committed and not confirmed").of()
OUTBOX_REFUSED = telemetry.gauge("outbox_refused", "Envelopes for which the broker closes the channel").of()
INTENTS_PENDING = telemetry.gauge("intents_pending", "Effects on the outside world that are not executed yet").of()
DEAD_LETTERS_OPEN = telemetry.gauge("dead_letters_open", "Dead letters that nobody has replayed or discarded").of()


class QueueMetrics:
    """The children of one queue."""

    def __init__(self, queue: str) -> None:
        self._handled = _EVENTS.of(queue, "handled")
        self._refused = _EVENTS.of(queue, "refused")
        self._split = _EVENTS.of(queue, "split")
        self._forged = _FORGED.of(queue)
        self._seconds = _SECONDS.of(queue)
        self._size = _SIZE.of(queue)
        self._lag = _LAG.of(queue)
        self._pauses = _PAUSES.of(queue)

    def handled(self, events: int, seconds: float, lag_seconds: float) -> None:
        self._handled.inc(events)
        self._seconds.observe(seconds)
        self._size.observe(events)
        self._lag.set(max(0.0, lag_seconds))

    def refused(self, events: int) -> None:
        if events:
            self._refused.inc(events)

    def forged(self, messages: int) -> None:
        self._forged.inc(messages)

    def split(self, events: int) -> None:
        self._split.inc(events)

    def paused(self) -> None:
        self._pauses.inc()
