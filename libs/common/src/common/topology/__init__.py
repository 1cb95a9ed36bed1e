"""The contract of protos/bindings.toml as data, and what the broker is told of it."""

from common.topology.contract import (
    CONTRACT,
    DEAD_LETTERS,
    Contract,
    Event,
    Queue,
    Transient,
    allowed_callers,
    load,
    matches,
    message_type,
)
from common.topology.declarations import DELIVERY_LIMIT, check, declare, retry_tier

__all__ = [
    "CONTRACT",
    "DEAD_LETTERS",
    "DELIVERY_LIMIT",
    "Contract",
    "Event",
    "Queue",
    "Transient",
    "allowed_callers",
    "check",
    "declare",
    "load",
    "matches",
    "message_type",
    "retry_tier",
]
