"""Who may do what at the broker: a user of the contract writes its own keys and the names of its own queues."""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from common.services import SERVICES
from common.topology.contract import CONTRACT, EVERY_SERVICE, REQUEUE
from common.topology.retry_tiers import is_retry_tier

# The only user that declares the topology: that of `<service> migrate`.
MIGRATOR = "migrator"
NOTHING = "^$"


def users() -> tuple[str, ...]:
    """Everybody whom the contract lets publish or consume: the services, and producers outside of them."""
    producers = {producer for event in CONTRACT.events.values() for producer in event.producers}
    return (*SERVICES, *sorted(producers - {EVERY_SERVICE, *SERVICES}))


def rights(user: str, tiers: Collection[str]) -> dict[str, str]:
    """The patterns of what *user* may configure, write and read; *tiers* are the names of all retry tiers.

    Nobody writes to the default exchange. An exchange in here without a row in `topic_rights` would take every key.
    """
    if user == MIGRATOR:
        return {"configure": ".*", "write": ".*", "read": ".*"}
    queues = [name for queue in CONTRACT.queues_of(user) for name in (queue.name, queue.dead_letters)]
    # A service makes its transient queues itself: it configures them, and binding writes to the queue and reads the
    # exchange.
    transients = [re.escape(transient.prefix(user)) + "[0-9a-f]{16}" for transient in CONTRACT.transients_of(user)]
    return {
        "configure": _any_of(transients),
        "write": _any_of([*_escaped(_written(user, tiers)), *transients]),
        "read": _any_of([*_escaped(queues), *transients, *_escaped(_sources(user))]),
    }


def topic_rights(user: str, tiers: Collection[str]) -> dict[str, dict[str, str]]:
    """For every exchange that *user* may write or bind to, the patterns of the keys; the migrator has none, so all."""
    if user == MIGRATOR:
        return {}
    return {
        exchange: {"write": _any_of(_keys(user, exchange)), "read": _any_of(_escaped(_bound_keys(user, exchange)))}
        for exchange in sorted({*_written(user, tiers), *_sources(user)})
    }


@lru_cache(maxsize=4096)
def may_publish(user: str, exchange: str, key: str) -> bool:
    """Whether the contract lets *user* publish there; the broker closes the channel of one that it does not."""
    return any(re.fullmatch(pattern, key) for pattern in _keys(user, exchange))


def _written(user: str, tiers: Collection[str]) -> set[str]:
    """The exchanges that *user* may write: those it announces on, and the ways home when it has queues."""
    return CONTRACT.exchanges_of(user) | ({REQUEUE, *tiers} if CONTRACT.queues_of(user) else set())


def _sources(user: str) -> set[str]:
    """The exchanges that *user* may bind its transient queues to."""
    return {exchange for transient in CONTRACT.transients_of(user) for exchange, _ in transient.bindings}


def _keys(user: str, exchange: str) -> list[str]:
    """Patterns of the keys that *user* may write there."""
    queues = CONTRACT.queues_of(user)
    if exchange == REQUEUE:
        return _escaped(name for queue in queues for name in (queue.name, queue.dead_letters))
    if is_retry_tier(exchange):
        return _escaped(queue.name for queue in queues)
    return sorted(
        event.key_pattern
        for event in CONTRACT.events.values()
        if event.exchange == exchange and event.is_announced_by(user)
    )


def _bound_keys(user: str, exchange: str) -> list[str]:
    return [key for transient in CONTRACT.transients_of(user) for bound, key in transient.bindings if bound == exchange]


def _escaped(names: Iterable[str]) -> list[str]:
    return sorted(re.escape(name) for name in names)


def _any_of(patterns: Collection[str]) -> str:
    # Anchored: the broker looks for a match anywhere in the name.
    return f"^({'|'.join(patterns)})$" if patterns else NOTHING
