"""What may go wrong in one schedule, and how often: half of the kinds, chosen by the seed (swarm testing)."""

import random
from dataclasses import dataclass, field

# Rates are for one call; a schedule makes a few hundred of each.
RATES = {
    "crash": 0.004,  # the process dies at an await that leaves it
    "commit_unknown": 0.03,  # committed, then the connection is gone
    "commit_lost": 0.02,  # the connection is gone before the commit
    "statement_lost": 0.01,  # the connection is gone in the middle
    "lost_race": 0.02,  # deadlock or serialization failure
    "confirm_lost": 0.05,  # the broker has the message, and the publisher gets no confirm
    "publish_lost": 0.04,  # the message never gets there
    "channel_lost": 0.01,  # every channel of the process closes
    "ack_lost": 0.03,  # acknowledged, but the broker never hears it
    "duplicate": 0.05,  # the broker delivers a message once more
    "gateway_before": 0.06,  # the gateway fails and has done nothing
    "gateway_after": 0.06,  # the gateway has done it, then times out or answers 5xx
    "gateway_lags": 0.10,  # the order is not shown as paid yet
    "webhook_twice": 0.30,
    "webhook_dropped": 0.10,
}
# Kinds that happen once or twice in a schedule rather than at a rate.
EVENTS = (
    "kill", "database_restart", "broker_blocks", "unroutable", "early_webhook", "late_success", "wrong_amount",
    "second_capture", "poison", "poison_in_envelope", "wrong_currency", "delivery_limit", "two_replicas",
    "slow_gateway",
)  # fmt: skip
KINDS = (*RATES, *EVENTS)


@dataclass
class Faults:
    """The kinds that this schedule has. After `over` nothing fails any more, so that the fleet can come to rest."""

    rng: random.Random
    kinds: frozenset[str]
    over: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def swarm(cls, rng: random.Random) -> "Faults":
        return cls(rng, frozenset(rng.sample(KINDS, len(KINDS) // 2)))

    def strikes(self, kind: str) -> bool:
        """Whether *kind* happens at this call."""
        if self.over or kind not in self.kinds or self.rng.random() >= RATES[kind]:
            return False
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return True

    def has(self, kind: str) -> bool:
        """Whether this schedule knows the event *kind*."""
        return kind in self.kinds
