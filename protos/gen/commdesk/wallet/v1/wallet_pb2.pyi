from commdesk.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransactionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSACTION_TYPE_UNSPECIFIED: _ClassVar[TransactionType]
    TRANSACTION_TYPE_GRANT: _ClassVar[TransactionType]
    TRANSACTION_TYPE_CONSUME: _ClassVar[TransactionType]
    TRANSACTION_TYPE_LOCK: _ClassVar[TransactionType]
    TRANSACTION_TYPE_RELEASE: _ClassVar[TransactionType]
    TRANSACTION_TYPE_REFUND: _ClassVar[TransactionType]
    TRANSACTION_TYPE_BONUS: _ClassVar[TransactionType]
    TRANSACTION_TYPE_TRANSFER: _ClassVar[TransactionType]
    TRANSACTION_TYPE_EXPIRE: _ClassVar[TransactionType]
    TRANSACTION_TYPE_ADJUST: _ClassVar[TransactionType]
    TRANSACTION_TYPE_DEBT: _ClassVar[TransactionType]

class SpentCredits(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPENT_CREDITS_UNSPECIFIED: _ClassVar[SpentCredits]
    SPENT_CREDITS_BLOCK: _ClassVar[SpentCredits]
    SPENT_CREDITS_DEBT: _ClassVar[SpentCredits]
    SPENT_CREDITS_ABSORB: _ClassVar[SpentCredits]
TRANSACTION_TYPE_UNSPECIFIED: TransactionType
TRANSACTION_TYPE_GRANT: TransactionType
TRANSACTION_TYPE_CONSUME: TransactionType
TRANSACTION_TYPE_LOCK: TransactionType
TRANSACTION_TYPE_RELEASE: TransactionType
TRANSACTION_TYPE_REFUND: TransactionType
TRANSACTION_TYPE_BONUS: TransactionType
TRANSACTION_TYPE_TRANSFER: TransactionType
TRANSACTION_TYPE_EXPIRE: TransactionType
TRANSACTION_TYPE_ADJUST: TransactionType
TRANSACTION_TYPE_DEBT: TransactionType
SPENT_CREDITS_UNSPECIFIED: SpentCredits
SPENT_CREDITS_BLOCK: SpentCredits
SPENT_CREDITS_DEBT: SpentCredits
SPENT_CREDITS_ABSORB: SpentCredits

class Owner(_message.Message):
    __slots__ = ("merchant_id", "kind", "id")
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    kind: str
    id: str
    def __init__(self, merchant_id: _Optional[str] = ..., kind: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Wallet(_message.Message):
    __slots__ = ("wallet_id", "owner", "available", "locked", "pending", "lifetime_purchased", "seq", "debt")
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_PURCHASED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DEBT_FIELD_NUMBER: _ClassVar[int]
    wallet_id: str
    owner: Owner
    available: int
    locked: int
    pending: int
    lifetime_purchased: int
    seq: int
    debt: int
    def __init__(self, wallet_id: _Optional[str] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., available: _Optional[int] = ..., locked: _Optional[int] = ..., pending: _Optional[int] = ..., lifetime_purchased: _Optional[int] = ..., seq: _Optional[int] = ..., debt: _Optional[int] = ...) -> None: ...

class ConsumeCreditsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Consumption]
    def __init__(self, items: _Optional[_Iterable[_Union[Consumption, _Mapping]]] = ...) -> None: ...

class Consumption(_message.Message):
    __slots__ = ("operation_key", "owner", "credits", "purpose", "source_id")
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    operation_key: str
    owner: Owner
    credits: int
    purpose: str
    source_id: str
    def __init__(self, operation_key: _Optional[str] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., credits: _Optional[int] = ..., purpose: _Optional[str] = ..., source_id: _Optional[str] = ...) -> None: ...

class ConsumeCreditsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ConsumptionResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ConsumptionResult, _Mapping]]] = ...) -> None: ...

class ConsumptionResult(_message.Message):
    __slots__ = ("transaction", "error")
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    transaction: WalletTransaction
    error: _common_pb2.Error
    def __init__(self, transaction: _Optional[_Union[WalletTransaction, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class WalletTransaction(_message.Message):
    __slots__ = ("transaction_id", "wallet_id", "type", "credits", "balance_before", "balance_after", "seq", "source", "source_id", "operation_key", "created_unix_micros", "locked", "debt")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    WALLET_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    DEBT_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    wallet_id: str
    type: TransactionType
    credits: int
    balance_before: int
    balance_after: int
    seq: int
    source: str
    source_id: str
    operation_key: str
    created_unix_micros: int
    locked: int
    debt: int
    def __init__(self, transaction_id: _Optional[str] = ..., wallet_id: _Optional[str] = ..., type: _Optional[_Union[TransactionType, str]] = ..., credits: _Optional[int] = ..., balance_before: _Optional[int] = ..., balance_after: _Optional[int] = ..., seq: _Optional[int] = ..., source: _Optional[str] = ..., source_id: _Optional[str] = ..., operation_key: _Optional[str] = ..., created_unix_micros: _Optional[int] = ..., locked: _Optional[int] = ..., debt: _Optional[int] = ...) -> None: ...

class GetWalletsRequest(_message.Message):
    __slots__ = ("owners", "wallet_ids")
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    WALLET_IDS_FIELD_NUMBER: _ClassVar[int]
    owners: _containers.RepeatedCompositeFieldContainer[Owner]
    wallet_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, owners: _Optional[_Iterable[_Union[Owner, _Mapping]]] = ..., wallet_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetWalletsResponse(_message.Message):
    __slots__ = ("wallets",)
    WALLETS_FIELD_NUMBER: _ClassVar[int]
    wallets: _containers.RepeatedCompositeFieldContainer[Wallet]
    def __init__(self, wallets: _Optional[_Iterable[_Union[Wallet, _Mapping]]] = ...) -> None: ...

class ListTransactionsRequest(_message.Message):
    __slots__ = ("owner", "limit", "before_seq")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_SEQ_FIELD_NUMBER: _ClassVar[int]
    owner: Owner
    limit: int
    before_seq: int
    def __init__(self, owner: _Optional[_Union[Owner, _Mapping]] = ..., limit: _Optional[int] = ..., before_seq: _Optional[int] = ...) -> None: ...

class ListTransactionsResponse(_message.Message):
    __slots__ = ("transactions",)
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    transactions: _containers.RepeatedCompositeFieldContainer[WalletTransaction]
    def __init__(self, transactions: _Optional[_Iterable[_Union[WalletTransaction, _Mapping]]] = ...) -> None: ...

class Pack(_message.Message):
    __slots__ = ("pack_id", "version", "name", "price", "credits_paid", "credits_bonus")
    PACK_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    pack_id: str
    version: int
    name: str
    price: _common_pb2.Money
    credits_paid: int
    credits_bonus: int
    def __init__(self, pack_id: _Optional[str] = ..., version: _Optional[int] = ..., name: _Optional[str] = ..., price: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ...) -> None: ...

class ListPacksRequest(_message.Message):
    __slots__ = ("merchant_id",)
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    merchant_id: str
    def __init__(self, merchant_id: _Optional[str] = ...) -> None: ...

class ListPacksResponse(_message.Message):
    __slots__ = ("packs",)
    PACKS_FIELD_NUMBER: _ClassVar[int]
    packs: _containers.RepeatedCompositeFieldContainer[Pack]
    def __init__(self, packs: _Optional[_Iterable[_Union[Pack, _Mapping]]] = ...) -> None: ...

class HoldCreditsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[HoldRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[HoldRequest, _Mapping]]] = ...) -> None: ...

class HoldRequest(_message.Message):
    __slots__ = ("operation_key", "owner", "payment_id", "credits_paid", "credits_bonus", "policy")
    OPERATION_KEY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    operation_key: str
    owner: Owner
    payment_id: str
    credits_paid: int
    credits_bonus: int
    policy: SpentCredits
    def __init__(self, operation_key: _Optional[str] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., payment_id: _Optional[str] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., policy: _Optional[_Union[SpentCredits, str]] = ...) -> None: ...

class HoldCreditsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[HoldResult]
    def __init__(self, results: _Optional[_Iterable[_Union[HoldResult, _Mapping]]] = ...) -> None: ...

class PreviewHoldsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[HoldRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[HoldRequest, _Mapping]]] = ...) -> None: ...

class PreviewHoldsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[HoldResult]
    def __init__(self, results: _Optional[_Iterable[_Union[HoldResult, _Mapping]]] = ...) -> None: ...

class HoldResult(_message.Message):
    __slots__ = ("hold", "error")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    error: _common_pb2.Error
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("hold_id", "credits_paid", "credits_bonus", "missing_paid", "missing_bonus", "value", "state")
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    MISSING_PAID_FIELD_NUMBER: _ClassVar[int]
    MISSING_BONUS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    hold_id: str
    credits_paid: int
    credits_bonus: int
    missing_paid: int
    missing_bonus: int
    value: _common_pb2.Money
    state: str
    def __init__(self, hold_id: _Optional[str] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., missing_paid: _Optional[int] = ..., missing_bonus: _Optional[int] = ..., value: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., state: _Optional[str] = ...) -> None: ...

class ForgiveDebtsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[DebtForgiveness]
    def __init__(self, items: _Optional[_Iterable[_Union[DebtForgiveness, _Mapping]]] = ...) -> None: ...

class DebtForgiveness(_message.Message):
    __slots__ = ("idempotency_key", "owner", "credits", "reason", "actor")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    owner: Owner
    credits: int
    reason: str
    actor: str
    def __init__(self, idempotency_key: _Optional[str] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., credits: _Optional[int] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ForgiveDebtsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ConsumptionResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ConsumptionResult, _Mapping]]] = ...) -> None: ...

class ListPaymentGrantsRequest(_message.Message):
    __slots__ = ("payment_ids",)
    PAYMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    payment_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, payment_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPaymentGrantsResponse(_message.Message):
    __slots__ = ("grants",)
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[PaymentGrant]
    def __init__(self, grants: _Optional[_Iterable[_Union[PaymentGrant, _Mapping]]] = ...) -> None: ...

class PaymentGrant(_message.Message):
    __slots__ = ("payment_id", "owner", "credits_paid", "credits_bonus", "granted_again", "reversed", "value", "grants")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDITS_PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITS_BONUS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_AGAIN_FIELD_NUMBER: _ClassVar[int]
    REVERSED_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    owner: Owner
    credits_paid: int
    credits_bonus: int
    granted_again: int
    reversed: int
    value: _common_pb2.Money
    grants: int
    def __init__(self, payment_id: _Optional[str] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., credits_paid: _Optional[int] = ..., credits_bonus: _Optional[int] = ..., granted_again: _Optional[int] = ..., reversed: _Optional[int] = ..., value: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., grants: _Optional[int] = ...) -> None: ...
