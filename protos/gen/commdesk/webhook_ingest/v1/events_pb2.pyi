from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class WebhookReceived(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "gateway", "type", "version", "body", "gateway_account_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    gateway: str
    type: str
    version: str
    body: bytes
    gateway_account_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., gateway: _Optional[str] = ..., type: _Optional[str] = ..., version: _Optional[str] = ..., body: _Optional[bytes] = ..., gateway_account_id: _Optional[str] = ...) -> None: ...

class WebhookProcessing(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "gateway", "webhook_id", "reason")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    gateway: str
    webhook_id: str
    reason: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., gateway: _Optional[str] = ..., webhook_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WebhookProcessed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "gateway", "webhook_id", "outcome", "reason", "payment_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    gateway: str
    webhook_id: str
    outcome: str
    reason: str
    payment_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., gateway: _Optional[str] = ..., webhook_id: _Optional[str] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ..., payment_id: _Optional[str] = ...) -> None: ...

class WebhookRetried(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "gateway", "webhook_id", "reason", "attempt")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    gateway: str
    webhook_id: str
    reason: str
    attempt: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., gateway: _Optional[str] = ..., webhook_id: _Optional[str] = ..., reason: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class WebhookFailed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "gateway", "webhook_id", "reason")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    gateway: str
    webhook_id: str
    reason: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., gateway: _Optional[str] = ..., webhook_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WebhookDeadLettered(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "gateway", "webhook_id", "reason")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    gateway: str
    webhook_id: str
    reason: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., gateway: _Optional[str] = ..., webhook_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AnalyticsWebhookFailed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "gateway", "reason")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    gateway: str
    reason: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., gateway: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
