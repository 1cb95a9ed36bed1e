"""What a service holds of persons: declared once, table by table, and from that sealed anew, shown, erased, forgotten.

    PERSONAL_DATA = PersonalData(tables=[
        PersonalTable(
            "users",
            key="user_id",
            sealed={"email": EMAIL, "name": NAME},
            indexes={"email_index": BlindIndex("email", normalise=str.lower)},
            of_person="user_id = :user_uuid",
            erased={"email": "''", "name": "'-'"},
        )
    ])

Everything in it is code of ours: names and predicates go into statements as they are.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from common import ids
from common.database import Row, Tx
from common.seals import EMAIL, Sealer

# Of one person in one table; more is not a person but a machine, and export says that it is cut.
ROWS_MAX: Final = 10_000


class BlindIndex(Struct, frozen=True):
    """A column that finds rows by the sealed column *source*, whose text is *normalise*d first.

    *replaces* held the text in plain before it was sealed; it is emptied then.
    """

    source: str
    normalise: Callable[[str], str] = str
    replaces: str = ""


class Retention(Struct, frozen=True):
    """Rows older than *keep*, by the time in their UUIDv7 key, are deleted; or *cleared*: columns, and the SQL of what
    they hold then.
    """

    keep: timedelta
    cleared: Mapping[str, str] = {}


class PersonalTable(Struct, frozen=True, kw_only=True):
    """A table with personal data. *key* is its primary key, one column of *key_type*.

    *sealed* and *sealed_bytes* name the kind of each sealed column. *of_person* is a predicate over `:user` (usr_…),
    `:user_uuid`, `:email_index` and `:orders`; *shown* are further columns that an export has. Erasure sets *erased*
    (columns and what stands there afterwards), or deletes the row; neither means that the law keeps the row.
    """

    name: str
    key: str
    key_type: str = "uuid"
    sealed: Mapping[str, str] = {}
    sealed_bytes: Mapping[str, str] = {}
    indexes: Mapping[str, BlindIndex] = {}
    of_person: str = ""
    shown: Sequence[str] = ()
    erased: Mapping[str, str] = {}
    deleted: bool = False
    retention: Retention | None = None
    # Keys are no records of a person.
    is_exported: bool = True

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each sealed column, of texts and of bytes."""
        return {**self.sealed, **self.sealed_bytes}


class Person(Struct, frozen=True):
    """Whom a request is about, by all that is known: user id (usr_…), e-mail address, orders of theirs."""

    user_id: str = ""
    email: str = ""
    orders: tuple[str, ...] = ()

    @property
    def user_uuid(self) -> UUID | None:
        try:
            return ids.decode("usr", self.user_id)
        except ids.IdInvalid:
            return None

    def parameters(self, sealer: Sealer) -> dict[str, Any]:
        """What predicates of tables compare with; what is not known is null and equals nothing."""
        return {
            "user": self.user_id or None,
            "user_uuid": self.user_uuid,
            "email_index": sealer.blind_index(EMAIL, self.email.lower()) if self.email else None,
            "orders": list(self.orders),
        }


Records = Mapping[str, Sequence[Mapping[str, object]]]


async def same_person(tx: Tx, person: Person) -> Person:
    """For services that know no ids of a person beyond the given ones."""
    return person


async def no_records(tx: Tx, person: Person) -> Records:
    """For services whose declared tables are all that they hold."""
    return {}


class PersonalData(Struct, frozen=True):
    """All that a service holds of persons.

    *resolve* adds what the service knows of who a person is, *records* what an export has beside the tables, *cached*
    are patterns of Redis keys with `{user}` in them. *before_erasing* is called in the transaction of an erasure with
    who erases; what it raises refuses the erasure.
    """

    tables: Sequence[PersonalTable] = ()
    cached: Sequence[str] = ()
    resolve: Callable[[Tx, Person], Awaitable[Person]] = same_person
    records: Callable[[Tx, Person], Awaitable[Records]] = no_records
    before_erasing: Callable[[Tx, Person, str], Awaitable[None]] | None = None

    def table(self, name: str) -> PersonalTable | None:
        return next((table for table in self.tables if table.name == name), None)


async def export(tx: Tx, data: PersonalData, person: Person) -> dict[str, list[Mapping[str, object]]]:
    """All that is held of *person*, opened, by table."""
    exported: dict[str, list[Mapping[str, object]]] = {}
    for table in data.tables:
        if table.of_person and table.is_exported:
            columns = list(dict.fromkeys((table.key, *table.shown, *table.kinds)))
            rows = await tx.execute(
                f"select {', '.join(columns)} from {table.name} where {_predicate(table)} order by 1 limit {ROWS_MAX}",
                **person.parameters(tx.sealer),
            )
            exported[table.name] = [_opened(table, columns, row, tx.sealer) for row in rows]
    for name, records in (await data.records(tx, person)).items():
        exported[name] = [*exported.get(name, ()), *records]
    return {name: records for name, records in exported.items() if records}


async def erase(tx: Tx, data: PersonalData, person: Person) -> dict[str, int]:
    """Destroy what the law lets go of *person*; how many rows of each table. Once more changes nothing further."""
    counts = {}
    for table in data.tables:
        if table.of_person and (table.erased or table.deleted):
            changes = ", ".join(f"{column} = {value}" for column, value in table.erased.items())
            change = f"delete from {table.name}" if table.deleted else f"update {table.name} set {changes}"
            rows = await tx.execute(
                f"{change} where {table.key} in (select {table.key} from {table.name} where {_predicate(table)}"
                f" order by {table.key} for update) returning 1",
                **person.parameters(tx.sealer),
            )
            counts[table.name] = len(rows)
    return counts


def redis_keys(data: PersonalData, person: Person) -> list[str]:
    """Where Redis holds something of *person*."""
    return [pattern.format(user=person.user_id) for pattern in data.cached] if person.user_id else []


# `:name` of a predicate as a statement takes it.
_CASTS: Final = {
    ":user_uuid": "cast(:user_uuid as uuid)",
    ":user": "cast(:user as text)",
    ":email_index": "cast(:email_index as bytea)",
    ":orders": "cast(:orders as text[])",
}


def _predicate(table: PersonalTable) -> str:
    words = table.of_person.replace("(", "( ").replace(")", " )").split()
    return "(" + " ".join(_CASTS.get(word, word) for word in words) + ")"


def _opened(table: PersonalTable, columns: Sequence[str], row: Row, sealer: Sealer) -> dict[str, object]:
    return dict(_opened_columns(table, columns, row, sealer))


def _opened_columns(
    table: PersonalTable, columns: Sequence[str], row: Row, sealer: Sealer
) -> Iterator[tuple[str, object]]:
    for column in columns:
        value = row[column]
        if value is not None and column in table.sealed:
            value = sealer.open(table.sealed[column], value)
        elif value is not None and column in table.sealed_bytes:
            value = sealer.open_bytes(table.sealed_bytes[column], value).decode(errors="replace")
        yield column, value
