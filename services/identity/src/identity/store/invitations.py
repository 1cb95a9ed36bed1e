"""Invitations to accounts."""

from collections.abc import Collection, Sequence
from uuid import UUID

from common.database import Row, Tx
from common.seals import EMAIL, Sealer
from identity.domain.invitations import Invitation, InvitationStatus
from identity.store import rows

_OF_ACCOUNTS = """
select * from invitations where account_id = any(cast(:account_ids as text[])) and status = 'PENDING'
order by invitation_id
"""
_BY_HASH = "select * from invitations where token_hash = any(cast(:hashes as bytea[]))"
_SAVE = """
insert into invitations (invitation_id, account_id, email, email_index, token_hash, roles, status, invited_by,
                         created_at, updated_at, expires_at)
select invitation_id, account_id, email, email_index, token_hash, string_to_array(roles, ' '), status, invited_by,
       created_at, updated_at, expires_at
from unnest(
    cast(:invitation_ids as uuid[]), cast(:account_ids as text[]), cast(:emails as text[]), cast(:indexes as bytea[]),
    cast(:hashes as bytea[]), cast(:roles as text[]), cast(:statuses as text[]), cast(:inviters as text[]),
    cast(:created as timestamptz[]), cast(:updated as timestamptz[]), cast(:expiries as timestamptz[]))
    as row (invitation_id, account_id, email, email_index, token_hash, roles, status, invited_by, created_at,
            updated_at, expires_at)
on conflict (invitation_id) do update
set token_hash = excluded.token_hash, status = excluded.status, updated_at = excluded.updated_at,
    expires_at = excluded.expires_at
"""


async def pending(tx: Tx, account_ids: Collection[str]) -> dict[str, dict[UUID, Invitation]]:
    """Those that nobody has decided about, also when they have expired; by account and id, the oldest first."""
    found: dict[str, dict[UUID, Invitation]] = {account_id: {} for account_id in account_ids}
    for row in await tx.execute(_OF_ACCOUNTS, account_ids=sorted(account_ids)):
        found[row.account_id][row.invitation_id] = _invitation(row, tx.sealer)
    return found


async def by_token(tx: Tx, hashes: Collection[bytes]) -> dict[bytes, Invitation]:
    """Those that exist. They change under the lock of their account only."""
    found = await tx.execute(_BY_HASH, hashes=[*hashes])
    return {bytes(row.token_hash): _invitation(row, tx.sealer) for row in found}


async def save(tx: Tx, invitations: Sequence[Invitation]) -> None:
    """New and changed ones, of locked accounts."""
    if not invitations:
        return
    sealer = tx.sealer
    ordered = sorted(invitations, key=lambda each: each.invitation_id)
    await tx.execute(
        _SAVE,
        invitation_ids=[each.invitation_id for each in ordered],
        account_ids=[each.account_id for each in ordered],
        emails=[sealer.seal(EMAIL, each.email) for each in ordered],
        indexes=[rows.email_index(sealer, each.email) for each in ordered],
        hashes=[each.token_hash for each in ordered],
        roles=[" ".join(sorted(each.roles)) for each in ordered],
        statuses=[each.status.value for each in ordered],
        inviters=[each.invited_by for each in ordered],
        created=[each.created_at for each in ordered],
        updated=[each.updated_at for each in ordered],
        expiries=[each.expires_at for each in ordered],
    )


def _invitation(row: Row, sealer: Sealer) -> Invitation:
    return Invitation(
        invitation_id=row.invitation_id,
        account_id=row.account_id,
        email=sealer.open(EMAIL, row.email),
        token_hash=bytes(row.token_hash),
        roles=frozenset(row.roles),
        status=InvitationStatus(row.status),
        invited_by=row.invited_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
    )
