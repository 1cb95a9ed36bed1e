from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListApiRequestsRequest(_message.Message):
    __slots__ = ("merchant_id", "before_id", "since_unix_micros", "until_unix_micros", "api_key_id", "method", "path", "request_id", "status_min", "status_max", "limit")
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_MIN_FIELD_NUMBER: _ClassVar[int]
    STATUS_MAX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    before_id: bytes
    since_unix_micros: int
    until_unix_micros: int
    api_key_id: str
    method: str
    path: str
    request_id: str
    status_min: int
    status_max: int
    limit: int
    def __init__(self, merchant_id: _Optional[str] = ..., before_id: _Optional[bytes] = ..., since_unix_micros: _Optional[int] = ..., until_unix_micros: _Optional[int] = ..., api_key_id: _Optional[str] = ..., method: _Optional[str] = ..., path: _Optional[str] = ..., request_id: _Optional[str] = ..., status_min: _Optional[int] = ..., status_max: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListApiRequestsResponse(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[ApiRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[ApiRequest, _Mapping]]] = ...) -> None: ...

class ApiRequest(_message.Message):
    __slots__ = ("id", "api_key_id", "method", "path", "status", "duration_micros", "request_id", "error_code", "body_hash")
    ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MICROS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    BODY_HASH_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    api_key_id: str
    method: str
    path: str
    status: int
    duration_micros: int
    request_id: str
    error_code: str
    body_hash: bytes
    def __init__(self, id: _Optional[bytes] = ..., api_key_id: _Optional[str] = ..., method: _Optional[str] = ..., path: _Optional[str] = ..., status: _Optional[int] = ..., duration_micros: _Optional[int] = ..., request_id: _Optional[str] = ..., error_code: _Optional[str] = ..., body_hash: _Optional[bytes] = ...) -> None: ...

class ListPublishedRequest(_message.Message):
    __slots__ = ("from_unix_micros", "to_unix_micros", "limit", "after_id")
    FROM_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    TO_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_ID_FIELD_NUMBER: _ClassVar[int]
    from_unix_micros: int
    to_unix_micros: int
    limit: int
    after_id: bytes
    def __init__(self, from_unix_micros: _Optional[int] = ..., to_unix_micros: _Optional[int] = ..., limit: _Optional[int] = ..., after_id: _Optional[bytes] = ...) -> None: ...

class ListPublishedResponse(_message.Message):
    __slots__ = ("envelopes",)
    ENVELOPES_FIELD_NUMBER: _ClassVar[int]
    envelopes: _containers.RepeatedCompositeFieldContainer[PublishedEnvelope]
    def __init__(self, envelopes: _Optional[_Iterable[_Union[PublishedEnvelope, _Mapping]]] = ...) -> None: ...

class PublishedEnvelope(_message.Message):
    __slots__ = ("id", "exchange", "routing_key", "confirmed")
    ID_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    exchange: str
    routing_key: str
    confirmed: bool
    def __init__(self, id: _Optional[bytes] = ..., exchange: _Optional[str] = ..., routing_key: _Optional[str] = ..., confirmed: _Optional[bool] = ...) -> None: ...

class ListClaimedRequest(_message.Message):
    __slots__ = ("consumer", "ids")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, consumer: _Optional[str] = ..., ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ListClaimedResponse(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RepublishRequest(_message.Message):
    __slots__ = ("ids", "queue")
    IDS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    queue: str
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ..., queue: _Optional[str] = ...) -> None: ...

class RepublishResponse(_message.Message):
    __slots__ = ("republished",)
    REPUBLISHED_FIELD_NUMBER: _ClassVar[int]
    republished: int
    def __init__(self, republished: _Optional[int] = ...) -> None: ...

class TotalsRequest(_message.Message):
    __slots__ = ("since_checkpoint", "verify_checkpoint")
    SINCE_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VERIFY_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    since_checkpoint: bool
    verify_checkpoint: bool
    def __init__(self, since_checkpoint: _Optional[bool] = ..., verify_checkpoint: _Optional[bool] = ...) -> None: ...

class TotalsResponse(_message.Message):
    __slots__ = ("totals",)
    class TotalsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.ScalarMap[str, int]
    def __init__(self, totals: _Optional[_Mapping[str, int]] = ...) -> None: ...

class BacklogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BacklogResponse(_message.Message):
    __slots__ = ("outbox_unmarked", "intents_pending", "dead_letters_open", "outbox_total", "inbox_total", "outbox_refused")
    OUTBOX_UNMARKED_FIELD_NUMBER: _ClassVar[int]
    INTENTS_PENDING_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_OPEN_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_TOTAL_FIELD_NUMBER: _ClassVar[int]
    INBOX_TOTAL_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_REFUSED_FIELD_NUMBER: _ClassVar[int]
    outbox_unmarked: int
    intents_pending: int
    dead_letters_open: int
    outbox_total: int
    inbox_total: int
    outbox_refused: int
    def __init__(self, outbox_unmarked: _Optional[int] = ..., intents_pending: _Optional[int] = ..., dead_letters_open: _Optional[int] = ..., outbox_total: _Optional[int] = ..., inbox_total: _Optional[int] = ..., outbox_refused: _Optional[int] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("queue", "type", "error_code", "status", "limit", "ids")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    queue: str
    type: str
    error_code: str
    status: str
    limit: int
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, queue: _Optional[str] = ..., type: _Optional[str] = ..., error_code: _Optional[str] = ..., status: _Optional[str] = ..., limit: _Optional[int] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters",)
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("id", "queue", "type", "event", "error_code", "error_class", "attempts", "first_failed_unix_micros", "dead_unix_micros", "status", "actor", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_CLASS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FAILED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    DEAD_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    queue: str
    type: str
    event: bytes
    error_code: str
    error_class: str
    attempts: int
    first_failed_unix_micros: int
    dead_unix_micros: int
    status: str
    actor: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., queue: _Optional[str] = ..., type: _Optional[str] = ..., event: _Optional[bytes] = ..., error_code: _Optional[str] = ..., error_class: _Optional[str] = ..., attempts: _Optional[int] = ..., first_failed_unix_micros: _Optional[int] = ..., dead_unix_micros: _Optional[int] = ..., status: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersRequest(_message.Message):
    __slots__ = ("ids", "actor", "reason")
    IDS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    actor: str
    reason: str
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersResponse(_message.Message):
    __slots__ = ("replayed",)
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    replayed: int
    def __init__(self, replayed: _Optional[int] = ...) -> None: ...

class DiscardDeadLettersRequest(_message.Message):
    __slots__ = ("ids", "actor", "reason")
    IDS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    actor: str
    reason: str
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DiscardDeadLettersResponse(_message.Message):
    __slots__ = ("discarded",)
    DISCARDED_FIELD_NUMBER: _ClassVar[int]
    discarded: int
    def __init__(self, discarded: _Optional[int] = ...) -> None: ...

class StoryRequest(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: str
    def __init__(self, reference: _Optional[str] = ...) -> None: ...

class StoryResponse(_message.Message):
    __slots__ = ("entries", "references")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[StoryEntry]
    references: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, entries: _Optional[_Iterable[_Union[StoryEntry, _Mapping]]] = ..., references: _Optional[_Iterable[str]] = ...) -> None: ...

class StoryEntry(_message.Message):
    __slots__ = ("time_unix_micros", "kind", "summary", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    time_unix_micros: int
    kind: str
    summary: str
    fields: _containers.ScalarMap[str, str]
    def __init__(self, time_unix_micros: _Optional[int] = ..., kind: _Optional[str] = ..., summary: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ...) -> None: ...
