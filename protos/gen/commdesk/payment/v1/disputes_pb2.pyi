from commdesk.common.v1 import common_pb2 as _common_pb2
from commdesk.payment.v1 import payment_pb2 as _payment_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DisputeStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPUTE_STATUS_UNSPECIFIED: _ClassVar[DisputeStatus]
    DISPUTE_STATUS_OPEN: _ClassVar[DisputeStatus]
    DISPUTE_STATUS_UNDER_REVIEW: _ClassVar[DisputeStatus]
    DISPUTE_STATUS_WON: _ClassVar[DisputeStatus]
    DISPUTE_STATUS_LOST: _ClassVar[DisputeStatus]
DISPUTE_STATUS_UNSPECIFIED: DisputeStatus
DISPUTE_STATUS_OPEN: DisputeStatus
DISPUTE_STATUS_UNDER_REVIEW: DisputeStatus
DISPUTE_STATUS_WON: DisputeStatus
DISPUTE_STATUS_LOST: DisputeStatus

class Dispute(_message.Message):
    __slots__ = ("dispute_id", "merchant_id", "payment_id", "gateway_dispute_id", "status", "amount", "reason_code", "respond_by_unix_micros", "tax", "hold_id", "value_held", "fee_minor", "seq", "created_unix_micros")
    DISPUTE_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_DISPUTE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    RESPOND_BY_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    TAX_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_HELD_FIELD_NUMBER: _ClassVar[int]
    FEE_MINOR_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    dispute_id: str
    merchant_id: str
    payment_id: str
    gateway_dispute_id: str
    status: DisputeStatus
    amount: _common_pb2.Money
    reason_code: str
    respond_by_unix_micros: int
    tax: _payment_pb2.Tax
    hold_id: str
    value_held: int
    fee_minor: int
    seq: int
    created_unix_micros: int
    def __init__(self, dispute_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., gateway_dispute_id: _Optional[str] = ..., status: _Optional[_Union[DisputeStatus, str]] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., reason_code: _Optional[str] = ..., respond_by_unix_micros: _Optional[int] = ..., tax: _Optional[_Union[_payment_pb2.Tax, _Mapping]] = ..., hold_id: _Optional[str] = ..., value_held: _Optional[int] = ..., fee_minor: _Optional[int] = ..., seq: _Optional[int] = ..., created_unix_micros: _Optional[int] = ...) -> None: ...

class PaymentDisputed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "dispute")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    dispute: Dispute
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., dispute: _Optional[_Union[Dispute, _Mapping]] = ...) -> None: ...

class PaymentDisputeWon(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "dispute")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    dispute: Dispute
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., dispute: _Optional[_Union[Dispute, _Mapping]] = ...) -> None: ...

class PaymentDisputeLost(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "dispute")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    dispute: Dispute
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., dispute: _Optional[_Union[Dispute, _Mapping]] = ...) -> None: ...
