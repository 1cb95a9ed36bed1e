"""Metrics of what every service does with its queues, bound once so that counting costs next to nothing."""

import time

from prometheus_client import Counter, Gauge, Histogram

_EVENTS = Counter("commdesk_queue_events_total", "Events by what became of them", ["queue", "outcome"])
_SECONDS = Histogram(
    "commdesk_queue_batch_seconds",
    "Time to handle one batch",
    ["queue"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_SIZE = Histogram("commdesk_queue_batch_events", "Events of a batch", ["queue"], buckets=(1, 4, 16, 64, 128, 256, 512))
_LAG = Gauge("commdesk_queue_lag_seconds", "Age of the newest handled envelope", ["queue"])
_PAUSES = Counter("commdesk_queue_pauses_total", "Batches that waited for infrastructure", ["queue"])
OUTBOX_UNMARKED = Gauge("commdesk_outbox_unmarked", "Envelopes that are committed and not confirmed")
INTENTS_PENDING = Gauge("commdesk_intents_pending", "Effects on the outside world that are not carried out yet")
DEAD_LETTERS_OPEN = Gauge("commdesk_dead_letters_open", "Dead letters that nobody has settled")


class QueueMetrics:
    """The children of one queue."""

    def __init__(self, queue: str) -> None:
        self._handled = _EVENTS.labels(queue, "handled")
        self._refused = _EVENTS.labels(queue, "refused")
        self._exploded = _EVENTS.labels(queue, "exploded")
        self._seconds = _SECONDS.labels(queue)
        self._size = _SIZE.labels(queue)
        self._lag = _LAG.labels(queue)
        self._pauses = _PAUSES.labels(queue)

    def handled(self, events: int, seconds: float, announced_unix_micros: int) -> None:
        self._handled.inc(events)
        self._seconds.observe(seconds)
        self._size.observe(events)
        self._lag.set(max(0.0, time.time() - announced_unix_micros / 1_000_000))

    def refused(self, events: int) -> None:
        if events:
            self._refused.inc(events)

    def exploded(self, events: int) -> None:
        self._exploded.inc(events)

    def paused(self) -> None:
        self._pauses.inc()
