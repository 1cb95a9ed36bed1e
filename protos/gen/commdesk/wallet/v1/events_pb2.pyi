from commdesk.common.v1 import common_pb2 as _common_pb2
from commdesk.wallet.v1 import wallet_pb2 as _wallet_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WalletCredited(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "owner", "wallet_id", "transaction_id", "operation_key", "seq", "credits_paid", "credits_bonus", "payment_id", "balance_after")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    owner: _wallet_pb2.Owner
    wallet_id: str
    transaction_id: str
    operation_key: str
    seq: int
    credits_paid: int
    credits_bonus: int
    payment_id: str
    balance_after: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., owner: _Optional[_Union[_wallet_pb2.Owner, _Mapping]] = ..., wallet_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., operation_key: _Optional[str] = ..., seq: _Optional[int] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., payment_id: _Optional[str] = ..., balance_after: _Optional[int] = ...) -> None: ...

class WalletDebited(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "owner", "wallet_id", "transaction_id", "operation_key", "seq", "credits_paid", "credits_bonus", "purpose", "source_id", "value", "balance_after")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    owner: _wallet_pb2.Owner
    wallet_id: str
    transaction_id: str
    operation_key: str
    seq: int
    credits_paid: int
    credits_bonus: int
    purpose: str
    source_id: str
    value: _common_pb2.Money
    balance_after: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., owner: _Optional[_Union[_wallet_pb2.Owner, _Mapping]] = ..., wallet_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., operation_key: _Optional[str] = ..., seq: _Optional[int] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., purpose: _Optional[str] = ..., source_id: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., balance_after: _Optional[int] = ...) -> None: ...

class WalletLocked(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "owner", "wallet_id", "transaction_id", "operation_key", "seq", "credits_paid", "credits_bonus", "payment_id", "hold_id", "balance_after")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    owner: _wallet_pb2.Owner
    wallet_id: str
    transaction_id: str
    operation_key: str
    seq: int
    credits_paid: int
    credits_bonus: int
    payment_id: str
    hold_id: str
    balance_after: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., owner: _Optional[_Union[_wallet_pb2.Owner, _Mapping]] = ..., wallet_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., operation_key: _Optional[str] = ..., seq: _Optional[int] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., payment_id: _Optional[str] = ..., hold_id: _Optional[str] = ..., balance_after: _Optional[int] = ...) -> None: ...

class WalletReleased(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "owner", "wallet_id", "transaction_id", "operation_key", "seq", "credits_paid", "credits_bonus", "payment_id", "hold_id", "balance_after")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    owner: _wallet_pb2.Owner
    wallet_id: str
    transaction_id: str
    operation_key: str
    seq: int
    credits_paid: int
    credits_bonus: int
    payment_id: str
    hold_id: str
    balance_after: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., owner: _Optional[_Union[_wallet_pb2.Owner, _Mapping]] = ..., wallet_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., operation_key: _Optional[str] = ..., seq: _Optional[int] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., payment_id: _Optional[str] = ..., hold_id: _Optional[str] = ..., balance_after: _Optional[int] = ...) -> None: ...

class WalletReversed(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "owner", "wallet_id", "transaction_id", "operation_key", "seq", "credits_paid", "credits_bonus", "payment_id", "hold_id", "balance_after", "debt")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    DEBT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    owner: _wallet_pb2.Owner
    wallet_id: str
    transaction_id: str
    operation_key: str
    seq: int
    credits_paid: int
    credits_bonus: int
    payment_id: str
    hold_id: str
    balance_after: int
    debt: int
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., owner: _Optional[_Union[_wallet_pb2.Owner, _Mapping]] = ..., wallet_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., operation_key: _Optional[str] = ..., seq: _Optional[int] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., payment_id: _Optional[str] = ..., hold_id: _Optional[str] = ..., balance_after: _Optional[int] = ..., debt: _Optional[int] = ...) -> None: ...

class WalletDebtSettled(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "owner", "wallet_id", "transaction_id", "operation_key", "seq", "credits_paid", "credits_bonus", "value", "credits_forgiven", "balance_after", "actor_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FORGIVEN_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    owner: _wallet_pb2.Owner
    wallet_id: str
    transaction_id: str
    operation_key: str
    seq: int
    credits_paid: int
    credits_bonus: int
    value: _common_pb2.Money
    credits_forgiven: int
    balance_after: int
    actor_id: str
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., owner: _Optional[_Union[_wallet_pb2.Owner, _Mapping]] = ..., wallet_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., operation_key: _Optional[str] = ..., seq: _Optional[int] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., value: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., credits_forgiven: _Optional[int] = ..., balance_after: _Optional[int] = ..., actor_id: _Optional[str] = ...) -> None: ...

class WalletConsumeRequested(_message.Message):
    __slots__ = ("event_id", "time_unix_micros", "consumption")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    CONSUMPTION_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    time_unix_micros: int
    consumption: _wallet_pb2.Consumption
    def __init__(self, event_id: _Optional[str] = ..., time_unix_micros: _Optional[int] = ..., consumption: _Optional[_Union[_wallet_pb2.Consumption, _Mapping]] = ...) -> None: ...
