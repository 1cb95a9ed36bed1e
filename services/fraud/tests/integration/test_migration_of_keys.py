"""The migration of subject keys, with rows in place."""

from importlib import import_module

from common import seals
from common.database import connect
from fraud.domain.subjects import Dimension, key_of

MIGRATION = import_module("fraud.migrations.0004_subject_keys")

OLD_KEY = """
create or replace function subject_key(dimension text, merchant_id text, value text) returns uuid
language sql immutable strict parallel safe
return cast(encode(substring(sha256(convert_to(dimension || '|' || merchant_id || '|' || value, 'UTF8')) for 16), 'hex')
    as uuid);
"""


async def test_lists_of_before_count_on(owner_url: str) -> None:
    async with connect(owner_url, service="fraud", sealer=seals.generated()) as db, db.begin() as tx:
        await tx.execute(OLD_KEY)
        await tx.execute(
            """insert into subject_lists (verdict, dimension, merchant_id, value, reason, actor)
               values ('BLOCK', 'USER', 'mer_1', 'usr|1', 'test', 'operator:test'),
                      ('ALLOW', 'IP', 'mer_1', '1.2.3.4', 'test', 'operator:test')"""
        )
        before = set((await tx.execute("select key from subject_lists")).scalars())
        for statement in (MIGRATION.SUBJECT_KEY, MIGRATION.LISTS, MIGRATION.SOURCES):
            await tx.execute(statement)
        after = set((await tx.execute("select key from subject_lists")).scalars())
    assert after == {key_of(Dimension.USER, "mer_1", "usr|1"), key_of(Dimension.IP, "mer_1", "1.2.3.4")}
    assert not before & after
