"""Tokens that were mailed."""

from collections.abc import Collection, Sequence
from uuid import UUID

from common.database import Row, Tx
from identity.domain.account_mails import AccountMail, AccountToken

_INSERT = """
insert into account_tokens (token_hash, user_id, purpose, created_at, expires_at)
select * from unnest(
    cast(:hashes as bytea[]), cast(:user_ids as uuid[]), cast(:purposes as text[]), cast(:created as timestamptz[]),
    cast(:expiries as timestamptz[]))
"""
_READ = "select * from account_tokens where token_hash = any(cast(:hashes as bytea[]))"
_DELETE = """
delete from account_tokens
where user_id = any(cast(:user_ids as uuid[])) and purpose = any(cast(:purposes as text[]))
"""


async def insert(tx: Tx, tokens: Collection[AccountToken]) -> None:
    """Of locked users, or of users who are new."""
    if not tokens:
        return
    ordered = sorted(tokens, key=lambda token: token.token_hash)
    await tx.execute(
        _INSERT,
        hashes=[token.token_hash for token in ordered],
        user_ids=[token.user_id for token in ordered],
        purposes=[token.purpose.value for token in ordered],
        created=[token.created_at for token in ordered],
        expiries=[token.expires_at for token in ordered],
    )


async def read(tx: Tx, hashes: Collection[bytes]) -> dict[bytes, AccountToken]:
    """Those that exist. They change under the lock of their user only."""
    found = await tx.execute(_READ, hashes=list(hashes))
    return {bytes(row.token_hash): _token(row) for row in found}


async def delete(tx: Tx, user_ids: Collection[UUID], purposes: Sequence[AccountMail]) -> None:
    """All tokens of locked users for *purposes*."""
    if user_ids:
        await tx.execute(_DELETE, user_ids=list(user_ids), purposes=[purpose.value for purpose in purposes])


def _token(row: Row) -> AccountToken:
    return AccountToken(
        token_hash=bytes(row.token_hash),
        user_id=row.user_id,
        purpose=AccountMail(row.purpose),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
