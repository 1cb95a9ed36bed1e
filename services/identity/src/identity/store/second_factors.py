"""Second factors, sealed."""

import base64
from collections.abc import Collection, Sequence
from uuid import UUID

from common.database import Row, Tx
from common.seals import TOTP_SECRET, Sealer
from identity.domain.second_factors import SecondFactor
from identity.store.rows import hashes

# Their users are locked before.
_READ = "select * from second_factors where user_id = any(cast(:user_ids as uuid[]))"
_SAVE = """
insert into second_factors (user_id, secret, last_step, recovery_hashes, created_at, confirmed_at)
select * from unnest(
    cast(:user_ids as uuid[]), cast(:secrets as text[]), cast(:steps as bigint[]), cast(:recovery as bytea[]),
    cast(:created as timestamptz[]), cast(:confirmed as timestamptz[]))
on conflict (user_id) do update
set secret = excluded.secret, last_step = excluded.last_step, recovery_hashes = excluded.recovery_hashes,
    created_at = excluded.created_at, confirmed_at = excluded.confirmed_at
"""
_DELETE = "delete from second_factors where user_id = any(cast(:user_ids as uuid[]))"


async def read(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, SecondFactor]:
    """By user, those that are not confirmed yet as well; under the lock of its user nobody else changes one."""
    if not user_ids:
        return {}
    return {row.user_id: _factor(row, tx.sealer) for row in await tx.execute(_READ, user_ids=list(user_ids))}


async def save(tx: Tx, factors: Sequence[SecondFactor]) -> None:
    """Of locked users."""
    if not factors:
        return
    ordered = sorted(factors, key=lambda factor: factor.user_id)
    await tx.execute(
        _SAVE,
        user_ids=[factor.user_id for factor in ordered],
        secrets=[tx.sealer.seal(TOTP_SECRET, base64.b32encode(factor.secret).decode()) for factor in ordered],
        steps=[factor.last_step for factor in ordered],
        recovery=[b"".join(factor.recovery_hashes) for factor in ordered],
        created=[factor.created_at for factor in ordered],
        confirmed=[factor.confirmed_at for factor in ordered],
    )


async def delete(tx: Tx, user_ids: Collection[UUID]) -> None:
    """Of locked users."""
    if user_ids:
        await tx.execute(_DELETE, user_ids=list(user_ids))


def _factor(row: Row, sealer: Sealer) -> SecondFactor:
    return SecondFactor(
        user_id=row.user_id,
        secret=base64.b32decode(sealer.open(TOTP_SECRET, row.secret)),
        last_step=row.last_step,
        recovery_hashes=hashes(bytes(row.recovery_hashes)),
        created_at=row.created_at,
        confirmed_at=row.confirmed_at,
    )
