from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

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
