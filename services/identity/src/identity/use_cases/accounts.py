"""Accounts of merchants: make one with both environments, change a profile, suspend; merchants for other services."""

from collections.abc import Collection, Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common import ids, outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError, require_at_most
from identity.domain import accounts as rules
from identity.domain import memberships as member_rules
from identity.domain import revocations, users
from identity.domain.accounts import Account, AccountStatus, Environment, Merchant, MerchantProfile, ProfileChange
from identity.domain.errors import AccountsTooMany, MerchantInvalid, MerchantNotFound, UserNotFound
from identity.domain.memberships import OWNER, Membership
from identity.domain.users import User
from identity.store import accounts, commands, memberships, queries
from identity.use_cases.revocations import announce
from identity.wire import events

MERCHANTS_MAX = 500
ACCOUNTS_PAGE_MAX = 200
MANAGE = "merchants.manage"


class AccountOrder(Struct, frozen=True):
    """An account to be made. Its first owner is *owner_id*, or the user of *merchant_id* with *owner_email*; *actor* is
    who makes it, as the audit log says it.
    """

    profile: MerchantProfile
    actor: str
    origin: Context
    owner_id: UUID | None = None
    owner_email: str = ""
    merchant_id: str = ""

    @property
    def address(self) -> tuple[str, str]:
        return self.merchant_id, self.owner_email.lower()


class MerchantChange(Struct, frozen=True):
    """A change of one environment's profile by a member."""

    account_id: str
    merchant_id: str
    change: ProfileChange
    actor_id: UUID
    actor: str
    origin: Context


class StatusChange(Struct, frozen=True):
    """*reference* is the account, or one of its merchants. By an operator, for *reason*, which the audit log keeps."""

    reference: str
    status: AccountStatus
    actor: str
    reason: str
    origin: Context


@retried
async def create_accounts(db: Database, clock: Clock, orders: Sequence[AccountOrder]) -> list[Account | DomainError]:
    """Each with a live and a test environment. UserNotFound, MerchantInvalid, AccountsTooMany for one that is not."""
    results: list[Account | DomainError] = []
    now = clock.now()
    async with db.begin() as tx:
        addresses = {order.address for order in orders if order.owner_id is None}
        found = await queries.users_by_email(tx, addresses) if addresses else {}
        owner_ids = [found[order.address].user_id if order.address in found else order.owner_id for order in orders]
        # The lock keeps a user from making more accounts at once than one may have.
        owners = await commands.lock_users(tx, {owner_id for owner_id in owner_ids if owner_id is not None})
        seats = await memberships.seats(tx, owners)
        counts = {user_id: len({seat.account_id for seat in seats.get(user_id, ())}) for user_id in owners}
        made: list[Account] = []
        first_members = []
        audits = []
        for order, owner_id in zip(orders, owner_ids, strict=True):
            owner = owners.get(owner_id) if owner_id is not None else None
            if owner is None or not owner.is_active:
                results.append(UserNotFound("there is no such user"))
                continue
            if counts[owner.user_id] >= rules.ACCOUNTS_PER_USER_MAX:
                results.append(AccountsTooMany(f"a user belongs to at most {rules.ACCOUNTS_PER_USER_MAX} accounts"))
                continue
            try:
                profile = rules.checked_profile(order.profile)
            except MerchantInvalid as error:
                results.append(error)
                continue
            counts[owner.user_id] += 1
            account_id = ids.encode("acc", ids.new())
            account = Account(
                account_id=account_id,
                name=profile.name,
                status=AccountStatus.ACTIVE,
                merchants=tuple(
                    Merchant(ids.encode("mer", ids.new()), account_id, environment, profile, True, now, now)
                    for environment in Environment
                ),
                created_at=now,
            )
            made.append(account)
            first_members.append(Membership(account_id, owner.user_id, frozenset({OWNER}), now, now))
            after = {"merchants": [each.merchant_id for each in account.merchants], "owner": _name(owner.user_id)}
            audits.append(events.account_audit("account.created", account, order.origin, now, order.actor, after=after))
            results.append(account)
        await accounts.insert(tx, made)
        await memberships.save(tx, first_members)
        await outbox.append(tx, audits)
    return results


@retried
async def change_merchants(
    db: Database, clock: Clock, changes: Sequence[MerchantChange]
) -> list[Merchant | DomainError]:
    """Change profiles. RightsOutdated, MerchantNotFound, MerchantInvalid for one that is not changed.

    The actor's row is locked and their membership read in the same transaction.
    """
    results: list[Merchant | DomainError] = []
    now = clock.now()
    async with db.begin() as tx:
        account_ids = {change.account_id for change in changes}
        locked = await accounts.lock(tx, account_ids)
        await commands.lock_users(tx, {change.actor_id for change in changes})
        members = await memberships.of_accounts(tx, account_ids)
        custom = await memberships.custom_roles(tx, account_ids)
        stored = {each.merchant_id: each for account in locked.values() for each in account.merchants}
        changed: dict[str, Merchant] = {}
        audits = []
        for change in changes:
            actor = members[change.account_id].get(change.actor_id)
            if refusal := member_rules.act_refusal(actor, MANAGE, custom[change.account_id]):
                results.append(refusal)
                continue
            merchant = stored.get(change.merchant_id)
            if merchant is None or merchant.account_id != change.account_id:
                results.append(MerchantNotFound("there is no such merchant"))
                continue
            try:
                profile = rules.changed_profile(merchant.profile, change.change)
            except MerchantInvalid as error:
                results.append(error)
                continue
            if profile != merchant.profile:
                after = {"changed": rules.changed_fields(merchant.profile, profile)}
                merchant = replace(merchant, profile=profile, updated_at=now)
                stored[merchant.merchant_id] = changed[merchant.merchant_id] = merchant
                audits.append(
                    events.merchant_audit(
                        "merchant.profile_changed",
                        merchant,
                        change.origin,
                        now,
                        change.actor,
                        after=after,
                    )
                )
            results.append(merchant)
        await accounts.save_profiles(tx, list(changed.values()))
        await outbox.append(tx, audits)
    return results


@retried
async def change_status(db: Database, clock: Clock, changes: Sequence[StatusChange]) -> list[Account | DomainError]:
    """Suspend accounts, or take them up again. MerchantNotFound for one that is not there.

    A suspension ends the access of all members: they get no token for its environments until it is over.
    """
    results: list[Account | DomainError] = []
    now = clock.now()
    async with db.begin() as tx:
        named = await accounts.merchants(tx, {change.reference for change in changes})
        references = {
            change.reference: named[change.reference].account_id if change.reference in named else change.reference
            for change in changes
        }
        locked = await accounts.lock(tx, set(references.values()))
        members = await memberships.of_accounts(tx, locked)
        changed: dict[str, Account] = {}
        ended: set[UUID] = set()
        audits = []
        for change in changes:
            account = locked.get(references[change.reference])
            if account is None:
                results.append(MerchantNotFound("there is no such merchant"))
                continue
            if account.status is not change.status:
                is_active = change.status is AccountStatus.ACTIVE
                audits.append(
                    events.account_audit(
                        "account.resumed" if is_active else "account.suspended",
                        account,
                        change.origin,
                        now,
                        change.actor,
                        before={"status": account.status.value},
                        after={"status": change.status.value, "reason": change.reason},
                    )
                )
                if not is_active:
                    ended |= members[account.account_id].keys()
                account = replace(
                    account,
                    status=change.status,
                    merchants=tuple(replace(each, is_active=is_active) for each in account.merchants),
                )
                locked[account.account_id] = changed[account.account_id] = account
            results.append(account)
        await accounts.save_status(tx, list(changed.values()), now)
        touched = [users.touched(user, now) for user in (await commands.lock_users(tx, ended)).values()]
        await commands.save_users(tx, touched)
        await announce(tx, [revocations.of_user(user, "merchant_suspended", now) for user in touched])
        await outbox.append(tx, audits)
    return results


async def list_merchants(db: Database, merchant_ids: Collection[str]) -> list[Merchant]:
    """Those that exist. Raises LimitExceeded."""
    require_at_most(MERCHANTS_MAX, merchant_ids=len(merchant_ids))
    async with db.autocommit() as tx:
        return list((await accounts.merchants(tx, set(merchant_ids))).values())


async def find_merchant(db: Database, merchant_id: str) -> Merchant:
    """Raises MerchantNotFound."""
    for merchant in await list_merchants(db, [merchant_id]):
        return merchant
    raise MerchantNotFound("there is no such merchant")


async def list_accounts(db: Database, after: str, limit: int) -> list[Account]:
    """A page by id; Raises LimitExceeded."""
    require_at_most(ACCOUNTS_PAGE_MAX, limit=limit)
    async with db.autocommit() as tx:
        return await accounts.page(tx, after, limit or ACCOUNTS_PAGE_MAX)


async def find_account(db: Database, reference: str) -> tuple[Account, list[tuple[Membership, User]]]:
    """An account by its id or a merchant's, with its members. Raises MerchantNotFound."""
    async with db.begin() as tx:
        merchant = (await accounts.merchants(tx, {reference})).get(reference)
        account_id = reference if merchant is None else merchant.account_id
        account = (await accounts.by_id(tx, {account_id})).get(account_id)
        if account is None:
            raise MerchantNotFound("there is no such merchant")
        members = (await memberships.of_accounts(tx, {account_id}))[account_id]
        people = await queries.users_by_id(tx, members)
    return account, [(member, people[user_id]) for user_id, member in members.items() if user_id in people]


def _name(user_id: UUID) -> str:
    return ids.encode("usr", user_id)
