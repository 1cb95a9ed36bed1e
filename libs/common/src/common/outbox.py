"""The outbox: one row per envelope, committed with the state change that it announces.

`append` is all that a use case knows. After the commit the relay publishes (common.relay); the sweeper there is the
guarantee. An envelope carries 1 to 128 events of one routing key.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from google.protobuf.message import Message
from msgspec import Struct

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import context, envelopes, event_contexts
from common.database import Statement, Tx
from common.seals import IP, USER_AGENT, Sealer
from common.topology import CONTRACT, Event, may_publish

EVENTS_PER_ENVELOPE_MAX = 128

HeaderValue = str | int

_INSERT = Statement(
    "outbox.insert",
    """
insert into outbox (envelope_id, exchange, routing_key, mandatory, type, headers, body)
select envelope_id, exchange, routing_key, mandatory, type, cast(headers as jsonb), body
from unnest(cast(:envelope_ids as uuid[]), cast(:exchanges as text[]), cast(:routing_keys as text[]),
            cast(:mandatories as boolean[]), cast(:types as text[]), cast(:headers as text[]), cast(:bodies as bytea[]))
     as row (envelope_id, exchange, routing_key, mandatory, type, headers, body)
""",
)


class NotAllowed(Exception):
    """The contract does not let this service publish that there. The broker would close the channel for it.

    A bug, so no PermissionError: an OSError counts as an outage, and the work would be tried again for ever.
    """


class Outgoing(Struct, frozen=True):
    """One envelope on its way: a row of the outbox."""

    envelope_id: UUID
    exchange: str
    routing_key: str
    mandatory: bool
    type: str
    body: bytes
    # What a redelivery adds (attempt, first failure, error class and code); built afresh each time.
    headers: Mapping[str, HeaderValue] | None = None


async def append(tx: Tx, events: Iterable[Message]) -> None:
    """Announce *events*, each where bindings.toml says, in the transaction that made them true.

    Raises KeyError for a type that the contract does not know, NotAllowed for one that is another service's or for a
    key that cannot be: a row that the broker refuses would hold up those beside it.
    """
    by_type: dict[type[Message], list[Message]] = {}
    for message in events:
        by_type.setdefault(type(message), []).append(message)
    rows = []
    own = event_contexts.serialised(context.current())
    if AuditRecorded in by_type:
        by_type[AuditRecorded] = [
            _sealed_audit(tx.sealer, _traced(message, event_contexts.of_message(message, tx.contexts, own)))
            for message in by_type[AuditRecorded]
        ]
    for kind, messages in by_type.items():
        event = CONTRACT.events[kind.DESCRIPTOR.full_name]
        if not event.is_announced_by(tx.service):
            raise NotAllowed(f"{tx.service} does not announce {event.type}")
        for routing_key, batch in _by_key(event, messages).items():
            bodies = [message.SerializeToString() for message in batch]
            contexts = (
                [event_contexts.of_message(message, tx.contexts, own) for message in batch] if tx.contexts else [own]
            )
            for start in range(0, len(bodies), EVENTS_PER_ENVELOPE_MAX):
                end = start + EVENTS_PER_ENVELOPE_MAX
                envelope_id, body = envelopes.seal(
                    tx.service,
                    event.type,
                    bodies[start:end],
                    contexts=contexts[start:end] if tx.contexts else contexts,
                    clock=tx.clock,
                )
                rows.append(Outgoing(envelope_id, event.exchange, routing_key, event.mandatory, event.type, body))
    await append_rows(tx, rows)


def _traced(message: Any, origin: bytes) -> Any:
    """*message* with the correlation and trace ids of *origin*, where it has none: the request that it names is the
    one that did it, which need not be the one that the payment came from."""
    if not (message.correlation_id and message.trace_id):
        found = event_contexts.opened(origin)
        message.correlation_id = message.correlation_id or found.correlation_id
        message.trace_id = message.trace_id or found.trace_id
    return message


def _sealed_audit(sealer: Sealer, message: Any) -> Message:
    """A copy of *message* with the address and the agent sealed, where the service has not done so itself.

    A copy, because a transaction that lost a race announces the same message again.
    """
    if not (message.ip or message.user_agent):
        return cast(Message, message)
    copy = AuditRecorded()
    copy.CopyFrom(message)
    copy.ip, copy.user_agent = sealer.ensure(IP, message.ip), sealer.ensure(USER_AGENT, message.user_agent)
    return copy


def _by_key(event: Event, messages: Sequence[Message]) -> Mapping[str, Sequence[Message]]:
    """The messages of one type by their routing keys; most types have one key for all."""
    if event.key_field is None:
        return {event.key: messages}
    batches: dict[str, list[Message]] = {}
    for message in messages:
        batches.setdefault(event.routing_key(message), []).append(message)
    return batches


async def append_rows(tx: Tx, rows: Sequence[Outgoing]) -> None:
    """Put sealed envelopes into the outbox: redeliveries, dead letters, replays. Raises NotAllowed as `append` does."""
    if not rows:
        return
    for row in rows:
        if not may_publish(tx.service, row.exchange, row.routing_key):
            raise NotAllowed(f"{tx.service} may not publish {row.type} to {row.exchange or '-'} as {row.routing_key}")
    tx.outgoing.extend(rows)
    if not tx.has_outbox:
        return
    await tx.write(
        "outbox",
        _INSERT,
        envelope_ids=[row.envelope_id for row in rows],
        exchanges=[row.exchange for row in rows],
        routing_keys=[row.routing_key for row in rows],
        mandatories=[row.mandatory for row in rows],
        types=[row.type for row in rows],
        # Headers of our own are numbers and words; those of a broker, kept without their guard, hold times as well.
        headers=[json.dumps(dict(row.headers), default=str) if row.headers else None for row in rows],
        bodies=[row.body for row in rows],
    )
