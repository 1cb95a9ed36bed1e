"""Members of accounts, and the roles that accounts have made."""

from collections.abc import Collection, Sequence
from uuid import UUID

from common.database import Row, Tx
from identity.domain.memberships import CustomRole, Membership, Seat

_OF_ACCOUNTS = """
select * from memberships where account_id = any(cast(:account_ids as text[])) order by account_id, created_at, user_id
"""
_SEATS = """
select m.user_id, m.account_id, a.name as account_name, e.merchant_id, e.environment, m.roles,
       array(select p from custom_roles r, unnest(r.permissions) p
             where r.account_id = m.account_id and r.role_id = any(m.roles)) as permissions,
       a.status = 'ACTIVE' and e.status = 'ACTIVE' as is_active
from memberships m
join accounts a on a.account_id = m.account_id
join merchants e on e.account_id = m.account_id
where m.user_id = any(cast(:user_ids as uuid[]))
order by m.user_id, m.created_at, m.account_id, e.environment
"""
_INSERT = """
insert into memberships (account_id, user_id, roles, created_at, updated_at)
select account_id, user_id, string_to_array(roles, ' '), created_at, updated_at
from unnest(
    cast(:account_ids as text[]), cast(:user_ids as uuid[]), cast(:roles as text[]), cast(:created as timestamptz[]),
    cast(:updated as timestamptz[])) as row (account_id, user_id, roles, created_at, updated_at)
on conflict (account_id, user_id) do update set roles = excluded.roles, updated_at = excluded.updated_at
"""
_DELETE = """
delete from memberships m
using unnest(cast(:account_ids as text[]), cast(:user_ids as uuid[])) as gone (account_id, user_id)
where m.account_id = gone.account_id and m.user_id = gone.user_id
"""
_ROLES = """
select * from custom_roles where account_id = any(cast(:account_ids as text[])) order by account_id, role_id
"""
_SAVE_ROLES = """
insert into custom_roles (role_id, account_id, name, permissions, created_at, updated_at)
select role_id, account_id, name, string_to_array(permissions, ' '), created_at, updated_at
from unnest(
    cast(:role_ids as text[]), cast(:account_ids as text[]), cast(:names as text[]), cast(:permissions as text[]),
    cast(:created as timestamptz[]), cast(:updated as timestamptz[]))
    as row (role_id, account_id, name, permissions, created_at, updated_at)
on conflict (role_id) do update
set name = excluded.name, permissions = excluded.permissions, updated_at = excluded.updated_at
"""


async def of_accounts(tx: Tx, account_ids: Collection[str]) -> dict[str, dict[UUID, Membership]]:
    """By account and user, the oldest first."""
    members: dict[str, dict[UUID, Membership]] = {account_id: {} for account_id in account_ids}
    for row in await tx.execute(_OF_ACCOUNTS, account_ids=sorted(account_ids)):
        members[row.account_id][row.user_id] = _membership(row)
    return members


async def seats(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, list[Seat]]:
    """What users are in which environments, the oldest membership first."""
    found: dict[UUID, list[Seat]] = {}
    for row in await tx.execute(_SEATS, user_ids=sorted(user_ids)):
        found.setdefault(row.user_id, []).append(
            Seat(
                user_id=row.user_id,
                account_id=row.account_id,
                account_name=row.account_name,
                merchant_id=row.merchant_id,
                environment=row.environment,
                roles=frozenset(row.roles),
                permissions=frozenset(row.permissions),
                is_active=row.is_active,
            )
        )
    return found


async def save(tx: Tx, memberships: Sequence[Membership]) -> None:
    """New and changed ones, of locked accounts."""
    if not memberships:
        return
    ordered = sorted(memberships, key=lambda each: (each.account_id, each.user_id))
    await tx.execute(
        _INSERT,
        account_ids=[each.account_id for each in ordered],
        user_ids=[each.user_id for each in ordered],
        roles=[" ".join(sorted(each.roles)) for each in ordered],
        created=[each.created_at for each in ordered],
        updated=[each.updated_at for each in ordered],
    )


async def delete(tx: Tx, memberships: Sequence[Membership]) -> None:
    """Of locked accounts."""
    if memberships:
        await tx.execute(
            _DELETE,
            account_ids=[each.account_id for each in memberships],
            user_ids=[each.user_id for each in memberships],
        )


async def custom_roles(tx: Tx, account_ids: Collection[str]) -> dict[str, dict[str, CustomRole]]:
    """By account and id."""
    roles: dict[str, dict[str, CustomRole]] = {account_id: {} for account_id in account_ids}
    for row in await tx.execute(_ROLES, account_ids=sorted(account_ids)):
        roles[row.account_id][row.role_id] = CustomRole(
            role_id=row.role_id,
            account_id=row.account_id,
            name=row.name,
            permissions=frozenset(row.permissions),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
    return roles


async def save_custom_roles(tx: Tx, roles: Sequence[CustomRole]) -> None:
    """New and changed ones, of locked accounts."""
    if not roles:
        return
    ordered = sorted(roles, key=lambda role: role.role_id)
    await tx.execute(
        _SAVE_ROLES,
        role_ids=[role.role_id for role in ordered],
        account_ids=[role.account_id for role in ordered],
        names=[role.name for role in ordered],
        permissions=[" ".join(sorted(role.permissions)) for role in ordered],
        created=[role.created_at for role in ordered],
        updated=[role.updated_at for role in ordered],
    )


async def delete_custom_roles(tx: Tx, role_ids: Collection[str]) -> None:
    """Of locked accounts, and in nobody's use."""
    await tx.execute("delete from custom_roles where role_id = any(cast(:role_ids as text[]))", role_ids=[*role_ids])


def _membership(row: Row) -> Membership:
    return Membership(row.account_id, row.user_id, frozenset(row.roles), row.created_at, row.updated_at)
