"""Accounts and merchants."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from common.database import Row, Tx
from identity.domain.accounts import Account, AccountStatus, Environment, Merchant, MerchantProfile

_LOCK = (
    "select 1 from accounts where account_id = any(cast(:account_ids as text[])) order by account_id for no key update"
)
_MERCHANTS = """
select a.account_id, a.name as account_name, a.status as account_status, a.created_at as account_created_at,
       m.merchant_id, m.environment, m.name, m.legal_name, m.website, m.logo_url, m.support_email, m.support_phone,
       m.status, m.created_at, m.updated_at
from accounts a join merchants m on m.account_id = a.account_id
"""
_BY_MERCHANT = _MERCHANTS + "where m.merchant_id = any(cast(:merchant_ids as text[])) order by m.merchant_id"
_BY_ACCOUNT = _MERCHANTS + "where a.account_id = any(cast(:account_ids as text[])) order by a.account_id, m.merchant_id"
_PAGE = (
    _MERCHANTS
    + """
where a.account_id in (
    select account_id from accounts where account_id > :after order by account_id limit :limit)
order by a.account_id, m.merchant_id
"""
)
_INSERT_ACCOUNTS = """
insert into accounts (account_id, name, created_at, updated_at)
select account_id, name, created_at, created_at
from unnest(cast(:account_ids as text[]), cast(:names as text[]), cast(:times as timestamptz[]))
    as row (account_id, name, created_at)
"""
_INSERT_MERCHANTS = """
insert into merchants (merchant_id, account_id, environment, name, legal_name, website, logo_url, support_email,
                       support_phone, created_at, updated_at)
select merchant_id, account_id, environment, name, legal_name, website, logo_url, support_email, support_phone,
       created_at, created_at
from unnest(
    cast(:merchant_ids as text[]), cast(:account_ids as text[]), cast(:environments as text[]), cast(:names as text[]),
    cast(:legal_names as text[]), cast(:websites as text[]), cast(:logos as text[]), cast(:emails as text[]),
    cast(:phones as text[]), cast(:times as timestamptz[]))
    as row (merchant_id, account_id, environment, name, legal_name, website, logo_url, support_email, support_phone,
            created_at)
"""
_SAVE_MERCHANTS = """
update merchants m
set name = c.name, legal_name = c.legal_name, website = c.website, logo_url = c.logo_url,
    support_email = c.support_email, support_phone = c.support_phone, updated_at = c.updated_at
from unnest(
    cast(:merchant_ids as text[]), cast(:names as text[]), cast(:legal_names as text[]), cast(:websites as text[]),
    cast(:logos as text[]), cast(:emails as text[]), cast(:phones as text[]), cast(:times as timestamptz[]))
    as c (merchant_id, name, legal_name, website, logo_url, support_email, support_phone, updated_at)
where m.merchant_id = c.merchant_id
"""
_SAVE_STATUS = """
update accounts a set status = c.status, updated_at = :now
from unnest(cast(:account_ids as text[]), cast(:statuses as text[])) as c (account_id, status)
where a.account_id = c.account_id
"""


async def lock(tx: Tx, account_ids: Collection[str]) -> dict[str, Account]:
    """Those that exist; nobody else changes them, their members, roles or invitations until *tx* ends.

    Locked after throttles, before users.
    """
    await tx.execute(_LOCK, account_ids=sorted(account_ids))
    return await by_id(tx, account_ids)


async def by_id(tx: Tx, account_ids: Collection[str]) -> dict[str, Account]:
    found = await tx.execute(_BY_ACCOUNT, account_ids=sorted(account_ids))
    return {account.account_id: account for account in _accounts(found)}


async def page(tx: Tx, after: str, limit: int) -> list[Account]:
    """Those with higher ids than *after*, by id."""
    return _accounts(await tx.execute(_PAGE, after=after, limit=limit))


async def merchants(tx: Tx, merchant_ids: Collection[str]) -> dict[str, Merchant]:
    """Those that exist."""
    found = await tx.execute(_BY_MERCHANT, merchant_ids=sorted(merchant_ids))
    return {row.merchant_id: _merchant(row) for row in found}


async def insert(tx: Tx, accounts: Sequence[Account]) -> None:
    """With their merchants."""
    if not accounts:
        return
    ordered = sorted(accounts, key=lambda account: account.account_id)
    await tx.execute(
        _INSERT_ACCOUNTS,
        account_ids=[account.account_id for account in ordered],
        names=[account.name for account in ordered],
        times=[account.created_at for account in ordered],
    )
    merchants = [merchant for account in ordered for merchant in account.merchants]
    await tx.execute(
        _INSERT_MERCHANTS,
        account_ids=[merchant.account_id for merchant in merchants],
        environments=[merchant.environment.value for merchant in merchants],
        **_columns(merchants),
    )


async def save_profiles(tx: Tx, merchants: Sequence[Merchant]) -> None:
    """Of locked accounts."""
    if merchants:
        await tx.execute(_SAVE_MERCHANTS, **_columns(merchants))


async def save_status(tx: Tx, accounts: Sequence[Account], now: datetime) -> None:
    """Of locked accounts."""
    if accounts:
        await tx.execute(
            _SAVE_STATUS,
            account_ids=[account.account_id for account in accounts],
            statuses=[account.status.value for account in accounts],
            now=now,
        )


def _columns(merchants: Sequence[Merchant]) -> dict[str, list[object]]:
    profiles = [merchant.profile for merchant in merchants]
    return {
        "merchant_ids": [merchant.merchant_id for merchant in merchants],
        "names": [profile.name for profile in profiles],
        "legal_names": [profile.legal_name for profile in profiles],
        "websites": [profile.website for profile in profiles],
        "logos": [profile.logo_url for profile in profiles],
        "emails": [profile.support_email for profile in profiles],
        "phones": [profile.support_phone for profile in profiles],
        "times": [merchant.updated_at for merchant in merchants],
    }


def _accounts(found: Sequence[Row]) -> list[Account]:
    """Of rows in the order of their accounts."""
    accounts = []
    for account_id, group in groupby(found, attrgetter("account_id")):
        rows = list(group)
        first = rows[0]
        accounts.append(
            Account(
                account_id=account_id,
                name=first.account_name,
                status=AccountStatus(first.account_status),
                merchants=tuple(_merchant(row) for row in rows),
                created_at=first.account_created_at,
            )
        )
    return accounts


def _merchant(row: Row) -> Merchant:
    return Merchant(
        merchant_id=row.merchant_id,
        account_id=row.account_id,
        environment=Environment(row.environment),
        profile=MerchantProfile(
            name=row.name,
            legal_name=row.legal_name,
            website=row.website,
            logo_url=row.logo_url,
            support_email=row.support_email,
            support_phone=row.support_phone,
        ),
        is_active=row.status == "ACTIVE" and row.account_status == AccountStatus.ACTIVE,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
