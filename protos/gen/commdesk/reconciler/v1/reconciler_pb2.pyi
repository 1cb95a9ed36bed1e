from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunRequest(_message.Message):
    __slots__ = ("actor",)
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    actor: str
    def __init__(self, actor: _Optional[str] = ...) -> None: ...

class RunResponse(_message.Message):
    __slots__ = ("run_id", "envelopes_checked", "envelopes_republished", "cases", "totals")
    class TotalsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ENVELOPES_CHECKED_FIELD_NUMBER: _ClassVar[int]
    ENVELOPES_REPUBLISHED_FIELD_NUMBER: _ClassVar[int]
    CASES_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    envelopes_checked: int
    envelopes_republished: int
    cases: _containers.RepeatedCompositeFieldContainer[Case]
    totals: _containers.ScalarMap[str, int]
    def __init__(self, run_id: _Optional[str] = ..., envelopes_checked: _Optional[int] = ..., envelopes_republished: _Optional[int] = ..., cases: _Optional[_Iterable[_Union[Case, _Mapping]]] = ..., totals: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ListCasesRequest(_message.Message):
    __slots__ = ("status", "limit")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    status: str
    limit: int
    def __init__(self, status: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListCasesResponse(_message.Message):
    __slots__ = ("cases",)
    CASES_FIELD_NUMBER: _ClassVar[int]
    cases: _containers.RepeatedCompositeFieldContainer[Case]
    def __init__(self, cases: _Optional[_Iterable[_Union[Case, _Mapping]]] = ...) -> None: ...

class Case(_message.Message):
    __slots__ = ("case_id", "run_id", "kind", "reference", "detail", "status", "opened_unix_micros", "payment_id", "amount_minor", "currency", "owner")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OPENED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    case_id: str
    run_id: str
    kind: str
    reference: str
    detail: str
    status: str
    opened_unix_micros: int
    payment_id: str
    amount_minor: int
    currency: str
    owner: str
    def __init__(self, case_id: _Optional[str] = ..., run_id: _Optional[str] = ..., kind: _Optional[str] = ..., reference: _Optional[str] = ..., detail: _Optional[str] = ..., status: _Optional[str] = ..., opened_unix_micros: _Optional[int] = ..., payment_id: _Optional[str] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class CloseDayRequest(_message.Message):
    __slots__ = ("day", "actor")
    DAY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    day: str
    actor: str
    def __init__(self, day: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class CloseDayResponse(_message.Message):
    __slots__ = ("close_id", "day", "currencies")
    CLOSE_ID_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    CURRENCIES_FIELD_NUMBER: _ClassVar[int]
    close_id: str
    day: str
    currencies: _containers.RepeatedCompositeFieldContainer[CloseFigures]
    def __init__(self, close_id: _Optional[str] = ..., day: _Optional[str] = ..., currencies: _Optional[_Iterable[_Union[CloseFigures, _Mapping]]] = ...) -> None: ...

class CloseFigures(_message.Message):
    __slots__ = ("currency", "payments", "total_minor", "matched_minor", "explained_minor", "open_minor", "other_cases", "other_minor", "settlements", "settled_net_minor", "banked_minor")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MINOR_FIELD_NUMBER: _ClassVar[int]
    MATCHED_MINOR_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_MINOR_FIELD_NUMBER: _ClassVar[int]
    OPEN_MINOR_FIELD_NUMBER: _ClassVar[int]
    OTHER_CASES_FIELD_NUMBER: _ClassVar[int]
    OTHER_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_NET_MINOR_FIELD_NUMBER: _ClassVar[int]
    BANKED_MINOR_FIELD_NUMBER: _ClassVar[int]
    currency: str
    payments: int
    total_minor: int
    matched_minor: int
    explained_minor: int
    open_minor: int
    other_cases: int
    other_minor: int
    settlements: int
    settled_net_minor: int
    banked_minor: int
    def __init__(self, currency: _Optional[str] = ..., payments: _Optional[int] = ..., total_minor: _Optional[int] = ..., matched_minor: _Optional[int] = ..., explained_minor: _Optional[int] = ..., open_minor: _Optional[int] = ..., other_cases: _Optional[int] = ..., other_minor: _Optional[int] = ..., settlements: _Optional[int] = ..., settled_net_minor: _Optional[int] = ..., banked_minor: _Optional[int] = ...) -> None: ...

class StoreStatementRequest(_message.Message):
    __slots__ = ("file", "account", "currency", "actor")
    FILE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    file: bytes
    account: str
    currency: str
    actor: str
    def __init__(self, file: _Optional[bytes] = ..., account: _Optional[str] = ..., currency: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class StoreStatementResponse(_message.Message):
    __slots__ = ("statement_id", "format", "first_on", "last_on", "lines", "lines_added")
    STATEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FIRST_ON_FIELD_NUMBER: _ClassVar[int]
    LAST_ON_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    LINES_ADDED_FIELD_NUMBER: _ClassVar[int]
    statement_id: str
    format: str
    first_on: str
    last_on: str
    lines: int
    lines_added: int
    def __init__(self, statement_id: _Optional[str] = ..., format: _Optional[str] = ..., first_on: _Optional[str] = ..., last_on: _Optional[str] = ..., lines: _Optional[int] = ..., lines_added: _Optional[int] = ...) -> None: ...
