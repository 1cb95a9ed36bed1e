from commdesk.common.v1 import common_pb2 as _common_pb2
from commdesk.payment.v1 import payment_pb2 as _payment_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentCreated(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "ip", "device_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    ip: str
    device_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., ip: _Optional[str] = ..., device_id: _Optional[str] = ...) -> None: ...

class PaymentProcessing(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ...) -> None: ...

class PaymentSucceeded(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "transaction_id", "ip", "device_id", "receipt_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    transaction_id: str
    ip: str
    device_id: str
    receipt_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., transaction_id: _Optional[str] = ..., ip: _Optional[str] = ..., device_id: _Optional[str] = ..., receipt_id: _Optional[str] = ...) -> None: ...

class PaymentReceived(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "receipt_id", "gateway_payment_id", "amount", "reason")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    receipt_id: str
    gateway_payment_id: str
    amount: _common_pb2.Money
    reason: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., receipt_id: _Optional[str] = ..., gateway_payment_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class PaymentReceiptRefunded(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "receipt_id", "gateway_payment_id", "amount", "gateway_refund_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    receipt_id: str
    gateway_payment_id: str
    amount: _common_pb2.Money
    gateway_refund_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., receipt_id: _Optional[str] = ..., gateway_payment_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., gateway_refund_id: _Optional[str] = ...) -> None: ...

class PaymentFlagged(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "receipt_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    receipt_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., receipt_id: _Optional[str] = ...) -> None: ...

class PaymentReleased(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "outcome")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    outcome: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., outcome: _Optional[str] = ...) -> None: ...

class PaymentReviewDecided(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "action", "actor_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    action: str
    actor_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., action: _Optional[str] = ..., actor_id: _Optional[str] = ...) -> None: ...

class PaymentAttemptFailed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "gateway_payment_id", "reason", "ip", "device_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    gateway_payment_id: str
    reason: str
    ip: str
    device_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., gateway_payment_id: _Optional[str] = ..., reason: _Optional[str] = ..., ip: _Optional[str] = ..., device_id: _Optional[str] = ...) -> None: ...

class PaymentFailed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "reason", "ip", "device_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    reason: str
    ip: str
    device_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., reason: _Optional[str] = ..., ip: _Optional[str] = ..., device_id: _Optional[str] = ...) -> None: ...

class PaymentCancelled(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ...) -> None: ...

class PaymentExpired(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ...) -> None: ...

class PaymentSyncRequested(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment_id", "merchant_id", "asked_by")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment_id: str
    merchant_id: str
    asked_by: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., asked_by: _Optional[str] = ...) -> None: ...

class AnalyticsPaymentCreated(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "payment_id", "amount", "gateway", "pack_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    PACK_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    payment_id: str
    amount: _common_pb2.Money
    gateway: str
    pack_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., gateway: _Optional[str] = ..., pack_id: _Optional[str] = ...) -> None: ...

class AnalyticsPaymentSucceeded(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "payment_id", "amount", "gateway", "method", "pack_id", "duration_micros", "is_late")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PACK_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_MICROS_FIELD_NUMBER: _ClassVar[int]
    IS_LATE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    payment_id: str
    amount: _common_pb2.Money
    gateway: str
    method: str
    pack_id: str
    duration_micros: int
    is_late: bool
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., gateway: _Optional[str] = ..., method: _Optional[str] = ..., pack_id: _Optional[str] = ..., duration_micros: _Optional[int] = ..., is_late: _Optional[bool] = ...) -> None: ...

class AnalyticsPaymentFailed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "payment_id", "amount", "gateway", "reason")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    payment_id: str
    amount: _common_pb2.Money
    gateway: str
    reason: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., gateway: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Recipient(_message.Message):
    __slots__ = ("email", "name")
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    email: str
    name: str
    def __init__(self, email: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class EmailPaymentSucceeded(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "recipient", "payment_id", "order_id", "transaction_id", "invoice_id", "invoice_number", "amount", "tax", "credits_paid", "credits_bonus", "method", "paid_unix_micros")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    INVOICE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TAX_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PAID_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    recipient: Recipient
    payment_id: str
    order_id: str
    transaction_id: str
    invoice_id: str
    invoice_number: str
    amount: _common_pb2.Money
    tax: _payment_pb2.Tax
    credits_paid: int
    credits_bonus: int
    method: str
    paid_unix_micros: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., recipient: _Optional[_Union[Recipient, _Mapping]] = ..., payment_id: _Optional[str] = ..., order_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., invoice_id: _Optional[str] = ..., invoice_number: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., tax: _Optional[_Union[_payment_pb2.Tax, _Mapping]] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., method: _Optional[str] = ..., paid_unix_micros: _Optional[int] = ...) -> None: ...

class EmailPaymentFailed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "recipient", "payment_id", "order_id", "amount", "reason", "retry_url")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_URL_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    recipient: Recipient
    payment_id: str
    order_id: str
    amount: _common_pb2.Money
    reason: str
    retry_url: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., recipient: _Optional[_Union[Recipient, _Mapping]] = ..., payment_id: _Optional[str] = ..., order_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ..., retry_url: _Optional[str] = ...) -> None: ...
