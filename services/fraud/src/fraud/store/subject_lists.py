"""Block and allow lists: operators write an entry in plain, the service seals it, and it counts from then on."""

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from common.database import Tx
from common.seals import Sealer
from fraud.domain.subjects import Dimension, key_of

LISTED: Final = "fraud.listed"

_UNSEALED = """
select id, dimension, merchant_id, value from subject_lists where value_index is null
order by id limit :limit for no key update skip locked
"""
_SEAL = """
update subject_lists l set value = row.value, value_index = row.value_index, user_id = row.user_id
from unnest(cast(:ids as uuid[]), cast(:values as text[]), cast(:indexes as bytea[]), cast(:user_ids as text[]))
     as row (id, value, value_index, user_id)
where l.id = row.id
"""


def indexes(sealer: Sealer, keys: Collection[UUID]) -> Mapping[UUID, bytes]:
    """The blind index under which each key (fraud.domain.subjects.key_of) is listed."""
    return {key: sealer.blind_index(LISTED, key.hex) for key in keys}


async def seal_entries(tx: Tx, limit: int) -> int:
    """Seal entries that are in plain, and make them count; how many there were."""
    rows = await tx.execute(_UNSEALED, limit=limit)
    if rows:
        sealed = [tx.sealer.ensure(LISTED, row.value) for row in rows]
        texts = [tx.sealer.open(LISTED, value) for value in sealed]
        keys = [key_of(Dimension(row.dimension), row.merchant_id, text) for row, text in zip(rows, texts, strict=True)]
        by_key = indexes(tx.sealer, keys)
        await tx.execute(
            _SEAL,
            ids=[row.id for row in rows],
            values=sealed,
            indexes=[by_key[key] for key in keys],
            # Export and erasure of a person find the entry by it.
            user_ids=[text if row.dimension == Dimension.USER else "" for row, text in zip(rows, texts, strict=True)],
        )
    return len(rows)
