"""The comparison of metadata and migrations: silent when they agree, and each kind of difference is named."""

import asyncpg
import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from common import tables
from common.testing import schema

MIGRATED = """
create function payment.doubled(value bigint) returns bigint language sql immutable return value * 2;
create table payment.owners (
    owner_id uuid primary key,
    name text collate "C" not null,
    kind text not null default 'USER' check (kind in ('USER', 'ROBOT')),
    unique (name, kind)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
create table payment.lots (
    lot_id uuid not null,
    day integer not null,
    owner_id uuid not null references payment.owners,
    remaining bigint not null check (remaining >= 0),
    is_open boolean not null generated always as (remaining > 0) stored,
    twice bigint generated always as (payment.doubled(remaining)) stored,
    primary key (lot_id, day)
) partition by range (day);
create table payment.lots_default partition of payment.lots default;
create index lots_in_order on payment.lots (owner_id, lot_id) where is_open;
"""


def described(**changed: object) -> MetaData:
    """The tables of MIGRATED; *changed* says what a mutation has instead."""

    def the(name: str, default: object) -> object:
        return changed.get(name, default)

    metadata = MetaData()
    Table(
        "owners",
        metadata,
        Column("owner_id", Uuid, primary_key=True),
        Column("name", Text(collation=the("collation", "C")), nullable=the("nullable", False)),
        Column(
            "kind",
            Text,
            CheckConstraint(the("check", "kind in ('USER', 'ROBOT')")),
            nullable=False,
            server_default=text(the("default", "'USER'")),
        ),
        UniqueConstraint(*the("unique", ("name", "kind"))),
        postgresql_with=the("options", {"fillfactor": 60, "autovacuum_vacuum_scale_factor": 0.05}),
    )
    Table(
        "lots",
        metadata,
        Column("lot_id", Uuid, primary_key=True),
        Column("day", Integer, primary_key=True, autoincrement=the("serial", False)),
        Column("owner_id", Uuid, *the("reference", [ForeignKey("owners.owner_id")]), nullable=False),
        Column("remaining", the("type", BigInteger), CheckConstraint("remaining >= 0"), nullable=False),
        Column("is_open", Boolean, Computed(the("generated", "remaining > 0"), persisted=True), nullable=False),
        Column("twice", BigInteger, Computed("doubled(remaining)", persisted=True)),
        *the("column", []),
        Index("lots_in_order", *the("indexed", ("owner_id", "lot_id")), postgresql_where=text(the("where", "is_open"))),
        postgresql_partition_by=the("partition", "RANGE (day)"),
    )
    for table in the("tables", []):
        Table(table, metadata, Column("id", Uuid, primary_key=True))
    return metadata


@pytest.fixture
async def migrated_url(superuser_url: str) -> str:
    connection = await asyncpg.connect(superuser_url)
    await connection.execute(MIGRATED)
    await connection.close()
    return superuser_url


async def test_common_describes_its_own_tables(superuser_url):
    await schema.assert_matches(tables.metadata, superuser_url, "payment")


async def test_metadata_that_says_the_same_has_no_difference(migrated_url):
    assert await schema.differences(described(), migrated_url, "payment") == []


async def test_nothing_is_left_behind(migrated_url):
    await schema.differences(described(), migrated_url, "payment")
    connection = await asyncpg.connect(migrated_url)
    assert not await connection.fetchval("select exists (select from pg_namespace where nspname = $1)", schema.SCRATCH)
    await connection.close()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"collation": "POSIX"}, "owners: column name"),
        ({"nullable": True}, "owners: column name"),
        ({"check": "kind in ('USER')"}, "owners: constraint CHECK"),
        ({"default": "'ROBOT'"}, "owners: column kind"),
        ({"unique": ("kind", "name")}, "owners: constraint UNIQUE"),
        ({"options": {"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.05}}, "owners: is a table"),
        ({"options": {}}, "owners: is a table"),
        ({"reference": []}, "lots: constraint FOREIGN KEY"),
        ({"reference": [ForeignKey("owners.owner_id", ondelete="CASCADE")]}, "lots: constraint FOREIGN KEY"),
        ({"type": Integer}, "lots: column remaining"),
        ({"generated": "remaining >= 0"}, "lots: column is_open"),
        ({"column": [Column("extra", Text)]}, "lots: column extra"),
        ({"where": "not is_open"}, "lots: CREATE INDEX lots_in_order"),
        ({"indexed": ("lot_id", "owner_id")}, "lots: CREATE INDEX lots_in_order"),
        ({"partition": "RANGE (lot_id)"}, "lots: is a table"),
        ({"partition": None}, "lots: is a table"),
        ({"tables": ["strangers"]}, "strangers: is a table"),
    ],
    ids=str,
)
async def test_each_kind_of_difference_is_named(migrated_url: str, changed: dict[str, object], named: str) -> None:
    metadata = described(**changed)
    lines = await schema.differences(metadata, migrated_url, "payment")
    assert any(named in line for line in lines), lines
    with pytest.raises(AssertionError, match=named):
        await schema.assert_matches(metadata, migrated_url, "payment")


@pytest.mark.parametrize(
    ("migration", "named"),
    [
        ("create table payment.forgotten (id uuid primary key)", "forgotten: is a table"),
        ("alter table payment.outbox add column forgotten text", "outbox: column forgotten"),
        ("alter table payment.owners add check (name <> '')", "owners: constraint CHECK"),
        ("create index forgotten on payment.owners (kind)", "owners: CREATE INDEX forgotten"),
    ],
)
async def test_a_migration_that_the_metadata_does_not_follow_is_named(migrated_url, migration, named):
    connection = await asyncpg.connect(migrated_url)
    await connection.execute(migration)
    await connection.close()
    [line] = [line for line in await schema.differences(described(), migrated_url, "payment") if named in line]
    assert line.endswith("(only the migrations say so)")
