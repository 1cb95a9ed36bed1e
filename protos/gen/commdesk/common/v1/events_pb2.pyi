from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class AuditRecorded(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "actor_id", "action", "resource_type", "resource_id", "before_json", "after_json", "ip", "user_agent", "trace_id", "request_id", "service", "correlation_id", "payment_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_JSON_FIELD_NUMBER: _ClassVar[int]
    AFTER_JSON_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    before_json: str
    after_json: str
    ip: str
    user_agent: str
    trace_id: str
    request_id: str
    service: str
    correlation_id: str
    payment_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., actor_id: _Optional[str] = ..., action: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_id: _Optional[str] = ..., before_json: _Optional[str] = ..., after_json: _Optional[str] = ..., ip: _Optional[str] = ..., user_agent: _Optional[str] = ..., trace_id: _Optional[str] = ..., request_id: _Optional[str] = ..., service: _Optional[str] = ..., correlation_id: _Optional[str] = ..., payment_id: _Optional[str] = ...) -> None: ...

class AdminAlertRaised(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "cause", "service", "summary", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    cause: str
    service: str
    summary: str
    fields: _containers.ScalarMap[str, str]
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., cause: _Optional[str] = ..., service: _Optional[str] = ..., summary: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ...) -> None: ...
