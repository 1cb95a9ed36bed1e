from commdesk.common.v1 import common_pb2 as _common_pb2
from commdesk.payment.v1 import events_pb2 as _events_pb2
from commdesk.payment.v1 import payment_pb2 as _payment_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RefundStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUND_STATUS_UNSPECIFIED: _ClassVar[RefundStatus]
    REFUND_STATUS_INITIATED: _ClassVar[RefundStatus]
    REFUND_STATUS_PROCESSING: _ClassVar[RefundStatus]
    REFUND_STATUS_SUCCESS: _ClassVar[RefundStatus]
    REFUND_STATUS_FAILED: _ClassVar[RefundStatus]
    REFUND_STATUS_REVERSED: _ClassVar[RefundStatus]

class SpentCreditsPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPENT_CREDITS_POLICY_UNSPECIFIED: _ClassVar[SpentCreditsPolicy]
    SPENT_CREDITS_POLICY_BLOCK: _ClassVar[SpentCreditsPolicy]
    SPENT_CREDITS_POLICY_DEBT: _ClassVar[SpentCreditsPolicy]
    SPENT_CREDITS_POLICY_ABSORB: _ClassVar[SpentCreditsPolicy]
REFUND_STATUS_UNSPECIFIED: RefundStatus
REFUND_STATUS_INITIATED: RefundStatus
REFUND_STATUS_PROCESSING: RefundStatus
REFUND_STATUS_SUCCESS: RefundStatus
REFUND_STATUS_FAILED: RefundStatus
REFUND_STATUS_REVERSED: RefundStatus
SPENT_CREDITS_POLICY_UNSPECIFIED: SpentCreditsPolicy
SPENT_CREDITS_POLICY_BLOCK: SpentCreditsPolicy
SPENT_CREDITS_POLICY_DEBT: SpentCreditsPolicy
SPENT_CREDITS_POLICY_ABSORB: SpentCreditsPolicy

class Refund(_message.Message):
    __slots__ = ("refund_id", "merchant_id", "payment_id", "status", "amount", "tax", "credits_paid", "credits_bonus", "policy", "hold_id", "value_held", "gateway_refund_id", "bank_reference", "seq", "created_unix_micros", "failure_reason", "requested_by", "receipt_id")
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TAX_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_HELD_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    BANK_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    refund_id: str
    merchant_id: str
    payment_id: str
    status: RefundStatus
    amount: _common_pb2.Money
    tax: _payment_pb2.Tax
    credits_paid: int
    credits_bonus: int
    policy: SpentCreditsPolicy
    hold_id: str
    value_held: int
    gateway_refund_id: str
    bank_reference: str
    seq: int
    created_unix_micros: int
    failure_reason: str
    requested_by: str
    receipt_id: str
    def __init__(self, refund_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., status: _Optional[_Union[RefundStatus, str]] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., tax: _Optional[_Union[_payment_pb2.Tax, _Mapping]] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., policy: _Optional[_Union[SpentCreditsPolicy, str]] = ..., hold_id: _Optional[str] = ..., value_held: _Optional[int] = ..., gateway_refund_id: _Optional[str] = ..., bank_reference: _Optional[str] = ..., seq: _Optional[int] = ..., created_unix_micros: _Optional[int] = ..., failure_reason: _Optional[str] = ..., requested_by: _Optional[str] = ..., receipt_id: _Optional[str] = ...) -> None: ...

class RefundCreated(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "refund")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    REFUND_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    refund: Refund
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., refund: _Optional[_Union[Refund, _Mapping]] = ...) -> None: ...

class RefundRequested(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "refund_id", "merchant_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    refund_id: str
    merchant_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., refund_id: _Optional[str] = ..., merchant_id: _Optional[str] = ...) -> None: ...

class PaymentRefunded(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "refund", "credit_note_number", "credit_note_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    REFUND_FIELD_NUMBER: _ClassVar[int]
    CREDIT_NOTE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_NOTE_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    refund: Refund
    credit_note_number: str
    credit_note_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., refund: _Optional[_Union[Refund, _Mapping]] = ..., credit_note_number: _Optional[str] = ..., credit_note_id: _Optional[str] = ...) -> None: ...

class RefundFailed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "refund")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    REFUND_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    refund: Refund
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., refund: _Optional[_Union[Refund, _Mapping]] = ...) -> None: ...

class RefundReversed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "refund")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    REFUND_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    refund: Refund
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., refund: _Optional[_Union[Refund, _Mapping]] = ...) -> None: ...

class AnalyticsRefundCreated(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "refund_id", "payment_id", "amount", "gateway")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    refund_id: str
    payment_id: str
    amount: _common_pb2.Money
    gateway: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., refund_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., gateway: _Optional[str] = ...) -> None: ...

class EmailPaymentRefunded(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "merchant_id", "recipient", "payment_id", "order_id", "refund_id", "amount", "status", "expected_date", "method", "credit_note_number", "bank_reference", "credits")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DATE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CREDIT_NOTE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BANK_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    merchant_id: str
    recipient: _events_pb2.Recipient
    payment_id: str
    order_id: str
    refund_id: str
    amount: _common_pb2.Money
    status: RefundStatus
    expected_date: str
    method: str
    credit_note_number: str
    bank_reference: str
    credits: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., merchant_id: _Optional[str] = ..., recipient: _Optional[_Union[_events_pb2.Recipient, _Mapping]] = ..., payment_id: _Optional[str] = ..., order_id: _Optional[str] = ..., refund_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., status: _Optional[_Union[RefundStatus, str]] = ..., expected_date: _Optional[str] = ..., method: _Optional[str] = ..., credit_note_number: _Optional[str] = ..., bank_reference: _Optional[str] = ..., credits: _Optional[int] = ...) -> None: ...

class RequestRefundsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RefundRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[RefundRequest, _Mapping]]] = ...) -> None: ...

class RefundRequest(_message.Message):
    __slots__ = ("payment_id", "amount", "reason", "idempotency_key", "speed", "operator")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    amount: _common_pb2.Money
    reason: str
    idempotency_key: str
    speed: str
    operator: str
    def __init__(self, payment_id: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., speed: _Optional[str] = ..., operator: _Optional[str] = ...) -> None: ...

class RequestRefundsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RefundResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RefundResult, _Mapping]]] = ...) -> None: ...

class RefundResult(_message.Message):
    __slots__ = ("refund", "error")
    REFUND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    refund: Refund
    error: _common_pb2.Error
    def __init__(self, refund: _Optional[_Union[Refund, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ListRefundsRequest(_message.Message):
    __slots__ = ("payment_ids", "changed_from_unix_micros", "changed_to_unix_micros", "limit", "cursor")
    PAYMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FROM_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_TO_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    payment_ids: _containers.RepeatedScalarFieldContainer[str]
    changed_from_unix_micros: int
    changed_to_unix_micros: int
    limit: int
    cursor: str
    def __init__(self, payment_ids: _Optional[_Iterable[str]] = ..., changed_from_unix_micros: _Optional[int] = ..., changed_to_unix_micros: _Optional[int] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListRefundsResponse(_message.Message):
    __slots__ = ("refunds", "next_cursor")
    REFUNDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    refunds: _containers.RepeatedCompositeFieldContainer[Refund]
    next_cursor: str
    def __init__(self, refunds: _Optional[_Iterable[_Union[Refund, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...
