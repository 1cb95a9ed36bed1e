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
    __slots__ = ("case_id", "run_id", "kind", "reference", "detail", "status", "opened_unix_micros")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OPENED_UNIX_MICROS_FIELD_NUMBER: _ClassVar[int]
    case_id: str
    run_id: str
    kind: str
    reference: str
    detail: str
    status: str
    opened_unix_micros: int
    def __init__(self, case_id: _Optional[str] = ..., run_id: _Optional[str] = ..., kind: _Optional[str] = ..., reference: _Optional[str] = ..., detail: _Optional[str] = ..., status: _Optional[str] = ..., opened_unix_micros: _Optional[int] = ...) -> None: ...
