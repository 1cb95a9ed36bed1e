from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResealRequest(_message.Message):
    __slots__ = ("restart",)
    RESTART_FIELD_NUMBER: _ClassVar[int]
    restart: bool
    def __init__(self, restart: _Optional[bool] = ...) -> None: ...

class ResealResponse(_message.Message):
    __slots__ = ("key_id", "tables")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    tables: _containers.RepeatedCompositeFieldContainer[ResealedTable]
    def __init__(self, key_id: _Optional[str] = ..., tables: _Optional[_Iterable[_Union[ResealedTable, _Mapping]]] = ...) -> None: ...

class ResealedTable(_message.Message):
    __slots__ = ("name", "rows_seen", "rows_changed", "completed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_SEEN_FIELD_NUMBER: _ClassVar[int]
    ROWS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows_seen: int
    rows_changed: int
    completed: bool
    def __init__(self, name: _Optional[str] = ..., rows_seen: _Optional[int] = ..., rows_changed: _Optional[int] = ..., completed: _Optional[bool] = ...) -> None: ...

class ListKeyUsesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListKeyUsesResponse(_message.Message):
    __slots__ = ("key_ids", "uses")
    KEY_IDS_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    key_ids: _containers.RepeatedScalarFieldContainer[str]
    uses: _containers.RepeatedCompositeFieldContainer[KeyUse]
    def __init__(self, key_ids: _Optional[_Iterable[str]] = ..., uses: _Optional[_Iterable[_Union[KeyUse, _Mapping]]] = ...) -> None: ...

class KeyUse(_message.Message):
    __slots__ = ("table", "column", "key_id", "count")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    table: str
    column: str
    key_id: str
    count: int
    def __init__(self, table: _Optional[str] = ..., column: _Optional[str] = ..., key_id: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Person(_message.Message):
    __slots__ = ("user_id", "email", "orders")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    email: str
    orders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., email: _Optional[str] = ..., orders: _Optional[_Iterable[str]] = ...) -> None: ...

class ResolvePersonRequest(_message.Message):
    __slots__ = ("person",)
    PERSON_FIELD_NUMBER: _ClassVar[int]
    person: Person
    def __init__(self, person: _Optional[_Union[Person, _Mapping]] = ...) -> None: ...

class ResolvePersonResponse(_message.Message):
    __slots__ = ("person",)
    PERSON_FIELD_NUMBER: _ClassVar[int]
    person: Person
    def __init__(self, person: _Optional[_Union[Person, _Mapping]] = ...) -> None: ...

class ExportPersonRequest(_message.Message):
    __slots__ = ("person",)
    PERSON_FIELD_NUMBER: _ClassVar[int]
    person: Person
    def __init__(self, person: _Optional[_Union[Person, _Mapping]] = ...) -> None: ...

class ExportPersonResponse(_message.Message):
    __slots__ = ("records_json",)
    RECORDS_JSON_FIELD_NUMBER: _ClassVar[int]
    records_json: bytes
    def __init__(self, records_json: _Optional[bytes] = ...) -> None: ...

class ErasePersonRequest(_message.Message):
    __slots__ = ("person", "actor", "reason")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    person: Person
    actor: str
    reason: str
    def __init__(self, person: _Optional[_Union[Person, _Mapping]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ErasePersonResponse(_message.Message):
    __slots__ = ("rows",)
    class RowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.ScalarMap[str, int]
    def __init__(self, rows: _Optional[_Mapping[str, int]] = ...) -> None: ...
