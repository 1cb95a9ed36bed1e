"""How often a network may come with keys that are none, in this process's memory."""

import time
from collections import OrderedDict
from collections.abc import Callable

from common.client_addresses import client_network
from common.errors import ResourceExhausted

WINDOW_SECONDS = 60.0
# A server with a wrong key tries it again and again; a guesser needs 2^177 of them.
FAILURES_MAX = 30
# The least recent are forgotten: guessing from more networks than this costs more than it brings.
NETWORKS_MAX = 10_000


class ApiKeyGuessesThrottled(ResourceExhausted):
    """Too many requests from this network came with API keys that are not valid."""

    fix = "Correct the key, and wait for as long as Retry-After says. Keys that were used a moment ago go on working."


class Guesses:
    """Counts failures by network."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raises ApiKeyGuessesThrottled when the network of *address* has failed too often."""
        ends_at, failures = self._failures.get(client_network(address), (0.0, 0))
        left = ends_at - self._monotonic()
        if failures >= FAILURES_MAX and left > 0:
            error = ApiKeyGuessesThrottled("too many requests with keys that are not valid")
            error.retry_after_seconds = int(left) + 1
            raise error

    def failed(self, address: str) -> None:
        """Count one."""
        network, now = client_network(address), self._monotonic()
        ends_at, failures = self._failures.pop(network, (0.0, 0))
        self._failures[network] = (ends_at, failures + 1) if ends_at > now else (now + WINDOW_SECONDS, 1)
        if len(self._failures) > NETWORKS_MAX:
            self._failures.popitem(last=False)
