"""The contract of protos/bindings.toml as data, and its declarations and rights at the broker."""

from common.topology.contract import (
    CONTRACT,
    DEAD_LETTERS,
    REQUEUE,
    Contract,
    Event,
    Queue,
    Transient,
    allowed_callers,
    load,
    matches,
    message_type,
)
from common.topology.declarations import DELIVERY_LIMIT, check, declare
from common.topology.retry_tiers import delay_ms, is_retry_tier, retry_exchange, retry_queues
from common.topology.rights import MIGRATOR, may_publish, rights, topic_rights, users
from common.topology.upgrade import upgrade

__all__ = [
    "CONTRACT",
    "DEAD_LETTERS",
    "DELIVERY_LIMIT",
    "MIGRATOR",
    "REQUEUE",
    "Contract",
    "Event",
    "Queue",
    "Transient",
    "allowed_callers",
    "check",
    "declare",
    "delay_ms",
    "is_retry_tier",
    "load",
    "matches",
    "may_publish",
    "message_type",
    "retry_exchange",
    "retry_queues",
    "rights",
    "topic_rights",
    "upgrade",
    "users",
]
