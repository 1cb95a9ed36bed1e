"""The table of permissions, protos/permissions.toml, as values: which roles and which kinds of API keys have which."""

import tomllib
from collections.abc import Collection, Mapping
from importlib import resources
from typing import Final

from msgspec import Struct, convert

EVERY: Final = "*"
# What somebody is who is signed in with no role of the platform: an existing issuer's tokens need none.
SIGNED_IN: Final = "USER"


class Permission(Struct, frozen=True):
    """One row: the platform roles, merchant roles and kinds of API keys that have it."""

    name: str
    """`<resource>.<verb>`, as routes name it."""
    description: str
    platform: frozenset[str]
    merchant: frozenset[str]
    keys: frozenset[str]


class Table(Struct, frozen=True):
    """The whole table. Roles and kinds of keys with their descriptions, in the order of the file."""

    platform_roles: Mapping[str, str]
    merchant_roles: Mapping[str, str]
    key_kinds: Mapping[str, str]
    aliases: Mapping[str, str]
    """Other names of platform roles."""
    permissions: Mapping[str, Permission]

    def of_platform_roles(self, roles: Collection[str]) -> frozenset[str]:
        """The permissions of a person with these platform roles, in upper case; unknown ones count for nothing."""
        known = {self.aliases.get(role, role) for role in roles} & self.platform_roles.keys() or {SIGNED_IN}
        return frozenset(name for name, row in self.permissions.items() if not row.platform.isdisjoint(known))

    def of_member(self, roles: Collection[str], own: Collection[str] = ()) -> frozenset[str]:
        """The permissions of a member of a merchant's account with these roles; unknown ones have none. *own* are those
        of roles that the account has made, which hold nothing that no merchant role has.
        """
        return frozenset(
            name
            for name, row in self.permissions.items()
            if not row.merchant.isdisjoint(roles) or (row.merchant and name in own)
        )

    def of_key_kind(self, kind: str) -> frozenset[str]:
        """The most that an API key of this kind may have; unknown kinds have none."""
        return frozenset(name for name, row in self.permissions.items() if kind in row.keys)


class _Roles(Struct, forbid_unknown_fields=True):
    platform: dict[str, str]
    merchant: dict[str, str]
    keys: dict[str, str]


class _Row(Struct, forbid_unknown_fields=True):
    description: str
    platform: list[str] = []
    merchant: list[str] = []
    keys: list[str] = []


class _File(Struct, forbid_unknown_fields=True):
    roles: _Roles
    aliases: dict[str, str]
    permissions: dict[str, _Row]


def load(text: str) -> Table:
    """Read the table. Raises ValueError when a row names a role or a kind of key that is not listed."""
    file = convert(tomllib.loads(text), _File)
    roles = file.roles
    if not {SIGNED_IN, *file.aliases.values()} <= roles.platform.keys():
        raise ValueError("permissions.toml: an alias is of no role")

    def named(permission: str, names: Collection[str], known: Collection[str]) -> frozenset[str]:
        if unknown := {*names} - {*known, EVERY}:
            raise ValueError(f"permissions.toml: {permission} names {', '.join(sorted(unknown))}")
        return frozenset(known) if EVERY in names else frozenset(names)

    permissions = {
        name: Permission(
            name,
            row.description,
            named(name, row.platform, roles.platform),
            named(name, row.merchant, roles.merchant),
            named(name, row.keys, roles.keys),
        )
        for name, row in file.permissions.items()
    }
    return Table(roles.platform, roles.merchant, roles.keys, file.aliases, permissions)


TABLE: Final = load(resources.files("commdesk").joinpath("permissions.toml").read_text())
