"""Verify e-mail addresses by the tokens that were mailed to them."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common import context, outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from identity.domain import account_mails, users
from identity.domain.account_mails import AccountMail
from identity.domain.errors import AccountTokenInvalid
from identity.domain.users import User
from identity.store import account_tokens, commands
from identity.use_cases.account_mails import token_hash
from identity.use_cases.batches import only
from identity.use_cases.profiles import Profiles
from identity.wire import events


class Verification(Struct, frozen=True):
    token_hash: bytes
    origin: Context


async def verify_address(db: Database, clock: Clock, profiles: Profiles, token: str) -> User:
    """Raises AccountTokenInvalid."""
    user = only(await verify_addresses(db, clock, [Verification(token_hash(token), context.current())]))
    await profiles.remember(user)
    return user


@retried
async def verify_addresses(
    db: Database, clock: Clock, verifications: Sequence[Verification]
) -> list[User | DomainError]:
    """The users whose addresses are verified now; each token is good for once."""
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        hashes = {each.token_hash for each in verifications}
        owners = {token.user_id for token in (await account_tokens.read(tx, hashes)).values()}
        current_users = await commands.lock_users(tx, owners)
        now = clock.now()
        # Again, now that nobody else uses them.
        tokens = await account_tokens.read(tx, hashes)
        verified: dict[UUID, User] = {}
        audits = []
        for each in verifications:
            token = tokens.pop(each.token_hash, None)
            user = current_users.get(token.user_id) if token is not None else None
            if user is None or not account_mails.is_valid(token, AccountMail.VERIFY, user, now):
                results.append(AccountTokenInvalid("the token is not valid"))
                continue
            if user.user_id not in verified:
                user = replace(users.touched(user, now), is_email_verified=True)
                current_users[user.user_id] = verified[user.user_id] = user
                audits.append(events.user_audit("user.email_verified", user, each.origin, now))
            results.append(user)
        await commands.save_users(tx, list(verified.values()))
        await account_tokens.delete(tx, verified, [AccountMail.VERIFY])
        await outbox.append(tx, audits)
    return results
