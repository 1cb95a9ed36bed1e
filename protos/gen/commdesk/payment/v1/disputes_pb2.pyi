from commdesk.common.v1 import common_pb2 as _common_pb2
from commdesk.payment.v1 import payment_pb2 as _payment_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
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

class DisputeEvidence(_message.Message):
    __slots__ = ("note", "file_reference", "actor", "created_unix_micros")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FILE_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    note: str
    file_reference: str
    actor: str
    created_unix_micros: int
    def __init__(self, note: _Optional[str] = ..., file_reference: _Optional[str] = ..., actor: _Optional[str] = ..., created_unix_micros: _Optional[int] = ...) -> None: ...

class DisputeRecord(_message.Message):
    __slots__ = ("dispute", "is_held", "evidence")
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    IS_HELD_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    dispute: Dispute
    is_held: bool
    evidence: _containers.RepeatedCompositeFieldContainer[DisputeEvidence]
    def __init__(self, dispute: _Optional[_Union[Dispute, _Mapping]] = ..., is_held: _Optional[bool] = ..., evidence: _Optional[_Iterable[_Union[DisputeEvidence, _Mapping]]] = ...) -> None: ...

class ListDisputesRequest(_message.Message):
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

class ListDisputesResponse(_message.Message):
    __slots__ = ("disputes", "next_cursor")
    DISPUTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    disputes: _containers.RepeatedCompositeFieldContainer[DisputeRecord]
    next_cursor: str
    def __init__(self, disputes: _Optional[_Iterable[_Union[DisputeRecord, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class AddDisputeEvidenceRequest(_message.Message):
    __slots__ = ("dispute_id", "note", "file_reference", "actor")
    DISPUTE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FILE_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    dispute_id: str
    note: str
    file_reference: str
    actor: str
    def __init__(self, dispute_id: _Optional[str] = ..., note: _Optional[str] = ..., file_reference: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class AddDisputeEvidenceResponse(_message.Message):
    __slots__ = ("dispute",)
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    dispute: DisputeRecord
    def __init__(self, dispute: _Optional[_Union[DisputeRecord, _Mapping]] = ...) -> None: ...
