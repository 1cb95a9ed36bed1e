from commdesk.payment.v1 import payment_pb2 as _payment_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Settlement(_message.Message):
    __slots__ = ("settlement_id", "gateway", "account_id", "gateway_settlement_id", "utr", "status", "currency", "gross_minor", "fee_minor", "fee_tax_minor", "adjustment_minor", "net_minor", "settled_unix_micros", "seq", "merchant_id", "is_complete", "conflicts", "unreadable")
    SETTLEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_SETTLEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    UTR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    GROSS_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_TAX_MINOR_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_MINOR_FIELD_NUMBER: _ClassVar[int]
    NET_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    IS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    settlement_id: str
    gateway: str
    account_id: str
    gateway_settlement_id: str
    utr: str
    status: str
    currency: str
    gross_minor: int
    fee_minor: int
    fee_tax_minor: int
    adjustment_minor: int
    net_minor: int
    settled_unix_micros: int
    seq: int
    merchant_id: str
    is_complete: bool
    conflicts: int
    unreadable: int
    def __init__(self, settlement_id: _Optional[str] = ..., gateway: _Optional[str] = ..., account_id: _Optional[str] = ..., gateway_settlement_id: _Optional[str] = ..., utr: _Optional[str] = ..., status: _Optional[str] = ..., currency: _Optional[str] = ..., gross_minor: _Optional[int] = ..., fee_minor: _Optional[int] = ..., fee_tax_minor: _Optional[int] = ..., adjustment_minor: _Optional[int] = ..., net_minor: _Optional[int] = ..., settled_unix_micros: _Optional[int] = ..., seq: _Optional[int] = ..., merchant_id: _Optional[str] = ..., is_complete: _Optional[bool] = ..., conflicts: _Optional[int] = ..., unreadable: _Optional[int] = ...) -> None: ...

class SettlementRow(_message.Message):
    __slots__ = ("row_id", "settlement_id", "kind", "payment_id", "order_id", "gateway_payment_id", "refund_id", "amount_minor", "fee_minor", "fee_tax_minor", "net_minor", "currency", "event_unix_micros", "utr")
    ROW_ID_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_TAX_MINOR_FIELD_NUMBER: _ClassVar[int]
    NET_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    EVENT_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    UTR_FIELD_NUMBER: _ClassVar[int]
    row_id: str
    settlement_id: str
    kind: str
    payment_id: str
    order_id: str
    gateway_payment_id: str
    refund_id: str
    amount_minor: int
    fee_minor: int
    fee_tax_minor: int
    net_minor: int
    currency: str
    event_unix_micros: int
    utr: str
    def __init__(self, row_id: _Optional[str] = ..., settlement_id: _Optional[str] = ..., kind: _Optional[str] = ..., payment_id: _Optional[str] = ..., order_id: _Optional[str] = ..., gateway_payment_id: _Optional[str] = ..., refund_id: _Optional[str] = ..., amount_minor: _Optional[int] = ..., fee_minor: _Optional[int] = ..., fee_tax_minor: _Optional[int] = ..., net_minor: _Optional[int] = ..., currency: _Optional[str] = ..., event_unix_micros: _Optional[int] = ..., utr: _Optional[str] = ...) -> None: ...

class SettlementImported(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "settlement", "gross_minor", "fee_minor", "fee_tax_minor", "adjustment_minor", "net_minor")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_FIELD_NUMBER: _ClassVar[int]
    GROSS_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_TAX_MINOR_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_MINOR_FIELD_NUMBER: _ClassVar[int]
    NET_MINOR_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    settlement: Settlement
    gross_minor: int
    fee_minor: int
    fee_tax_minor: int
    adjustment_minor: int
    net_minor: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., settlement: _Optional[_Union[Settlement, _Mapping]] = ..., gross_minor: _Optional[int] = ..., fee_minor: _Optional[int] = ..., fee_tax_minor: _Optional[int] = ..., adjustment_minor: _Optional[int] = ..., net_minor: _Optional[int] = ...) -> None: ...

class PaymentSettled(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "payment", "settlement_id", "utr", "fee_minor", "fee_tax_minor", "net_minor", "settled_unix_micros")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    UTR_FIELD_NUMBER: _ClassVar[int]
    FEE_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_TAX_MINOR_FIELD_NUMBER: _ClassVar[int]
    NET_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    payment: _payment_pb2.Payment
    settlement_id: str
    utr: str
    fee_minor: int
    fee_tax_minor: int
    net_minor: int
    settled_unix_micros: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., settlement_id: _Optional[str] = ..., utr: _Optional[str] = ..., fee_minor: _Optional[int] = ..., fee_tax_minor: _Optional[int] = ..., net_minor: _Optional[int] = ..., settled_unix_micros: _Optional[int] = ...) -> None: ...

class ListSettlementsRequest(_message.Message):
    __slots__ = ("changed_from_unix_micros", "changed_to_unix_micros", "limit", "cursor")
    CHANGED_FROM_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_TO_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    changed_from_unix_micros: int
    changed_to_unix_micros: int
    limit: int
    cursor: str
    def __init__(self, changed_from_unix_micros: _Optional[int] = ..., changed_to_unix_micros: _Optional[int] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListSettlementsResponse(_message.Message):
    __slots__ = ("settlements", "next_cursor")
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    settlements: _containers.RepeatedCompositeFieldContainer[Settlement]
    next_cursor: str
    def __init__(self, settlements: _Optional[_Iterable[_Union[Settlement, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ListSettlementRowsRequest(_message.Message):
    __slots__ = ("settlement_ids", "payment_ids", "limit", "cursor")
    SETTLEMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    settlement_ids: _containers.RepeatedScalarFieldContainer[str]
    payment_ids: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    cursor: str
    def __init__(self, settlement_ids: _Optional[_Iterable[str]] = ..., payment_ids: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListSettlementRowsResponse(_message.Message):
    __slots__ = ("rows", "next_cursor")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[SettlementRow]
    next_cursor: str
    def __init__(self, rows: _Optional[_Iterable[_Union[SettlementRow, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ListPaymentRecordsRequest(_message.Message):
    __slots__ = ("changed_from_unix_micros", "changed_to_unix_micros", "payment_ids", "limit", "cursor")
    CHANGED_FROM_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_TO_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    changed_from_unix_micros: int
    changed_to_unix_micros: int
    payment_ids: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    cursor: str
    def __init__(self, changed_from_unix_micros: _Optional[int] = ..., changed_to_unix_micros: _Optional[int] = ..., payment_ids: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListPaymentRecordsResponse(_message.Message):
    __slots__ = ("records", "next_cursor")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[PaymentRecord]
    next_cursor: str
    def __init__(self, records: _Optional[_Iterable[_Union[PaymentRecord, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class PaymentRecord(_message.Message):
    __slots__ = ("payment", "account_id", "paid_unix_micros", "refunded_minor", "is_confirmed", "settlement_status", "webhook_unix_micros", "unapplied_minor", "changed_unix_micros")
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAID_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_MINOR_FIELD_NUMBER: _ClassVar[int]
    IS_CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_STATUS_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    UNAPPLIED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CHANGED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    payment: _payment_pb2.Payment
    account_id: str
    paid_unix_micros: int
    refunded_minor: int
    is_confirmed: bool
    settlement_status: str
    webhook_unix_micros: int
    unapplied_minor: int
    changed_unix_micros: int
    def __init__(self, payment: _Optional[_Union[_payment_pb2.Payment, _Mapping]] = ..., account_id: _Optional[str] = ..., paid_unix_micros: _Optional[int] = ..., refunded_minor: _Optional[int] = ..., is_confirmed: _Optional[bool] = ..., settlement_status: _Optional[str] = ..., webhook_unix_micros: _Optional[int] = ..., unapplied_minor: _Optional[int] = ..., changed_unix_micros: _Optional[int] = ...) -> None: ...

class ImportSettlementsRequest(_message.Message):
    __slots__ = ("days",)
    DAYS_FIELD_NUMBER: _ClassVar[int]
    days: int
    def __init__(self, days: _Optional[int] = ...) -> None: ...

class ImportSettlementsResponse(_message.Message):
    __slots__ = ("settlements", "rows", "is_complete")
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    IS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    settlements: int
    rows: int
    is_complete: bool
    def __init__(self, settlements: _Optional[int] = ..., rows: _Optional[int] = ..., is_complete: _Optional[bool] = ...) -> None: ...
