from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class FraudFlagged(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "payment_id", "score", "reasons")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    payment_id: str
    score: int
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., score: _Optional[int] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class FraudDecided(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "payment_id", "decision", "actor_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    payment_id: str
    decision: str
    actor_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., decision: _Optional[str] = ..., actor_id: _Optional[str] = ...) -> None: ...
