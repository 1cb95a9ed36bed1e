from commdesk.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STATUS_UNSPECIFIED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_CREATED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_PENDING: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_AUTHORIZING: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_PROCESSING: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_SUCCESS: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_FAILED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_EXPIRED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_CANCELLED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_REFUNDED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_PARTIALLY_REFUNDED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_SETTLED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_DISPUTED: _ClassVar[PaymentStatus]
PAYMENT_STATUS_UNSPECIFIED: PaymentStatus
PAYMENT_STATUS_CREATED: PaymentStatus
PAYMENT_STATUS_PENDING: PaymentStatus
PAYMENT_STATUS_AUTHORIZING: PaymentStatus
PAYMENT_STATUS_PROCESSING: PaymentStatus
PAYMENT_STATUS_SUCCESS: PaymentStatus
PAYMENT_STATUS_FAILED: PaymentStatus
PAYMENT_STATUS_EXPIRED: PaymentStatus
PAYMENT_STATUS_CANCELLED: PaymentStatus
PAYMENT_STATUS_REFUNDED: PaymentStatus
PAYMENT_STATUS_PARTIALLY_REFUNDED: PaymentStatus
PAYMENT_STATUS_SETTLED: PaymentStatus
PAYMENT_STATUS_DISPUTED: PaymentStatus

class Tax(_message.Message):
    __slots__ = ("net", "cgst", "sgst", "igst")
    NET_FIELD_NUMBER: _ClassVar[int]
    CGST_FIELD_NUMBER: _ClassVar[int]
    SGST_FIELD_NUMBER: _ClassVar[int]
    IGST_FIELD_NUMBER: _ClassVar[int]
    net: _common_pb2.Money
    cgst: _common_pb2.Money
    sgst: _common_pb2.Money
    igst: _common_pb2.Money
    def __init__(self, net: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., cgst: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., sgst: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., igst: _Optional[_Union[_common_pb2.Money, _Mapping]] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("payment_id", "merchant_id", "user_id", "order_id", "gateway", "status", "amount", "tax", "platform_fee", "credits_paid", "credits_bonus", "pack_id", "seq", "method", "created_unix_micros", "gateway_payment_id", "owner_kind", "owner_id")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TAX_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FEE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    PACK_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_KIND_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    merchant_id: str
    user_id: str
    order_id: str
    gateway: str
    status: PaymentStatus
    amount: _common_pb2.Money
    tax: Tax
    platform_fee: _common_pb2.Money
    credits_paid: int
    credits_bonus: int
    pack_id: str
    seq: int
    method: str
    created_unix_micros: int
    gateway_payment_id: str
    owner_kind: str
    owner_id: str
    def __init__(self, payment_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., order_id: _Optional[str] = ..., gateway: _Optional[str] = ..., status: _Optional[_Union[PaymentStatus, str]] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., tax: _Optional[_Union[Tax, _Mapping]] = ..., platform_fee: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., pack_id: _Optional[str] = ..., seq: _Optional[int] = ..., method: _Optional[str] = ..., created_unix_micros: _Optional[int] = ..., gateway_payment_id: _Optional[str] = ..., owner_kind: _Optional[str] = ..., owner_id: _Optional[str] = ...) -> None: ...

class GetPaymentsRequest(_message.Message):
    __slots__ = ("payment_ids",)
    PAYMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    payment_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, payment_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetPaymentsResponse(_message.Message):
    __slots__ = ("payments",)
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    payments: _containers.RepeatedCompositeFieldContainer[Payment]
    def __init__(self, payments: _Optional[_Iterable[_Union[Payment, _Mapping]]] = ...) -> None: ...
