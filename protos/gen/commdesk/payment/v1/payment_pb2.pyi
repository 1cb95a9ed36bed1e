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

class WebhookAccount(_message.Message):
    __slots__ = ("gateway_account_id", "merchant_id", "gateway", "webhook_secrets")
    GATEWAY_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_SECRETS_FIELD_NUMBER: _ClassVar[int]
    gateway_account_id: str
    merchant_id: str
    gateway: str
    webhook_secrets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, gateway_account_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., gateway: _Optional[str] = ..., webhook_secrets: _Optional[_Iterable[str]] = ...) -> None: ...

class ListGatewayAccountsRequest(_message.Message):
    __slots__ = ("after_id", "limit")
    AFTER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after_id: str
    limit: int
    def __init__(self, after_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListGatewayAccountsResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[WebhookAccount]
    def __init__(self, accounts: _Optional[_Iterable[_Union[WebhookAccount, _Mapping]]] = ...) -> None: ...

class ListReviewsRequest(_message.Message):
    __slots__ = ("merchant_id", "kind", "limit", "cursor")
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    kind: str
    limit: int
    cursor: str
    def __init__(self, merchant_id: _Optional[str] = ..., kind: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListReviewsResponse(_message.Message):
    __slots__ = ("reviews", "next_cursor")
    REVIEWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    reviews: _containers.RepeatedCompositeFieldContainer[Review]
    next_cursor: str
    def __init__(self, reviews: _Optional[_Iterable[_Union[Review, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetReviewRequest(_message.Message):
    __slots__ = ("payment_id",)
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    def __init__(self, payment_id: _Optional[str] = ...) -> None: ...

class GetReviewResponse(_message.Message):
    __slots__ = ("review", "attempts", "evidence")
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    review: Review
    attempts: _containers.RepeatedCompositeFieldContainer[ReviewAttempt]
    evidence: _containers.RepeatedCompositeFieldContainer[ReviewEvidence]
    def __init__(self, review: _Optional[_Union[Review, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[ReviewAttempt, _Mapping]]] = ..., evidence: _Optional[_Iterable[_Union[ReviewEvidence, _Mapping]]] = ...) -> None: ...

class Review(_message.Message):
    __slots__ = ("payment", "kinds", "reason", "version", "receipts", "fraud_review")
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    FRAUD_REVIEW_FIELD_NUMBER: _ClassVar[int]
    payment: Payment
    kinds: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    version: str
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    fraud_review: str
    def __init__(self, payment: _Optional[_Union[Payment, _Mapping]] = ..., kinds: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., version: _Optional[str] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., fraud_review: _Optional[str] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("receipt_id", "gateway_payment_id", "reason", "amount", "applied", "refunded", "gateway_refund_id", "received_unix_micros", "refund_id", "refund_due_unix_micros")
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    REFUND_DUE_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    receipt_id: str
    gateway_payment_id: str
    reason: str
    amount: _common_pb2.Money
    applied: _common_pb2.Money
    refunded: _common_pb2.Money
    gateway_refund_id: str
    received_unix_micros: int
    refund_id: str
    refund_due_unix_micros: int
    def __init__(self, receipt_id: _Optional[str] = ..., gateway_payment_id: _Optional[str] = ..., reason: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., applied: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., refunded: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., gateway_refund_id: _Optional[str] = ..., received_unix_micros: _Optional[int] = ..., refund_id: _Optional[str] = ..., refund_due_unix_micros: _Optional[int] = ...) -> None: ...

class ReviewAttempt(_message.Message):
    __slots__ = ("gateway_payment_id", "status", "reason", "method", "amount", "updated_unix_micros")
    GATEWAY_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    gateway_payment_id: str
    status: str
    reason: str
    method: str
    amount: _common_pb2.Money
    updated_unix_micros: int
    def __init__(self, gateway_payment_id: _Optional[str] = ..., status: _Optional[str] = ..., reason: _Optional[str] = ..., method: _Optional[str] = ..., amount: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., updated_unix_micros: _Optional[int] = ...) -> None: ...

class ReviewEvidence(_message.Message):
    __slots__ = ("time_unix_micros", "kind", "summary", "actor")
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    time_unix_micros: int
    kind: str
    summary: str
    actor: str
    def __init__(self, time_unix_micros: _Optional[int] = ..., kind: _Optional[str] = ..., summary: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class DecideReviewRequest(_message.Message):
    __slots__ = ("payment_id", "action", "version", "reason", "actor", "receipt_id", "gateway_refund_id")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    action: str
    version: str
    reason: str
    actor: str
    receipt_id: str
    gateway_refund_id: str
    def __init__(self, payment_id: _Optional[str] = ..., action: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ..., receipt_id: _Optional[str] = ..., gateway_refund_id: _Optional[str] = ...) -> None: ...

class DecideReviewResponse(_message.Message):
    __slots__ = ("review",)
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    review: Review
    def __init__(self, review: _Optional[_Union[Review, _Mapping]] = ...) -> None: ...
