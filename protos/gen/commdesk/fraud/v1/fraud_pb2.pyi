from commdesk.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_ALLOW: _ClassVar[Decision]
    DECISION_REVIEW: _ClassVar[Decision]
    DECISION_BLOCK: _ClassVar[Decision]
DECISION_UNSPECIFIED: Decision
DECISION_ALLOW: Decision
DECISION_REVIEW: Decision
DECISION_BLOCK: Decision

class Subject(_message.Message):
    __slots__ = ("payment_id", "merchant_id", "user_id", "ip", "device_id", "amount", "request_key")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    merchant_id: str
    user_id: str
    ip: str
    device_id: str
    amount: _common_pb2.Money
    request_key: str
    def __init__(self, payment_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., ip: _Optional[str] = ..., device_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., request_key: _Optional[str] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("subjects",)
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    subjects: _containers.RepeatedCompositeFieldContainer[Subject]
    def __init__(self, subjects: _Optional[_Iterable[_Union[Subject, _Mapping]]] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("scores",)
    SCORES_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedCompositeFieldContainer[Score]
    def __init__(self, scores: _Optional[_Iterable[_Union[Score, _Mapping]]] = ...) -> None: ...

class Score(_message.Message):
    __slots__ = ("score", "decision", "reasons")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    score: int
    decision: Decision
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, score: _Optional[int] = ..., decision: _Optional[_Union[Decision, str]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class ListFraudEventsRequest(_message.Message):
    __slots__ = ("reference", "limit")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    reference: str
    limit: int
    def __init__(self, reference: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListFraudEventsResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[FraudEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[FraudEvent, _Mapping]]] = ...) -> None: ...

class FraudEvent(_message.Message):
    __slots__ = ("fraud_event_id", "time_unix_micros", "payment_id", "user_id", "score", "decision", "reasons")
    FRAUD_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    fraud_event_id: str
    time_unix_micros: int
    payment_id: str
    user_id: str
    score: int
    decision: Decision
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fraud_event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment_id: _Optional[str] = ..., user_id: _Optional[str] = ..., score: _Optional[int] = ..., decision: _Optional[_Union[Decision, str]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...
