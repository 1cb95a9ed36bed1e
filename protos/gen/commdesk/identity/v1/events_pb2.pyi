from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class AccountMailRequested(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "user_id", "kind", "email", "name", "token", "expires_unix_micros", "account_name")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_NAME_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    user_id: str
    kind: str
    email: str
    name: str
    token: str
    expires_unix_micros: int
    account_name: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., kind: _Optional[str] = ..., email: _Optional[str] = ..., name: _Optional[str] = ..., token: _Optional[str] = ..., expires_unix_micros: _Optional[int] = ..., account_name: _Optional[str] = ...) -> None: ...

class AccessRevoked(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "user_id", "session_id", "api_key_id", "not_before_unix_micros", "reason", "user_version")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    USER_VERSION_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    user_id: str
    session_id: str
    api_key_id: str
    not_before_unix_micros: int
    reason: str
    user_version: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., session_id: _Optional[str] = ..., api_key_id: _Optional[str] = ..., not_before_unix_micros: _Optional[int] = ..., reason: _Optional[str] = ..., user_version: _Optional[int] = ...) -> None: ...
