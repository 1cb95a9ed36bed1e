"""The reference of permissions, docs/reference/permissions.md: which roles and keys have which, and what needs it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from common.http_server import Route
from common.permissions import TABLE, Permission, Table

_INTRODUCTION: Final = """\
# Permissions

<!-- Generated from protos/permissions.toml and the routes by `make reference`; a test compares. -->

Every operation is public or needs one permission, otherwise it answers 403 `role_missing`. Roles have permissions:
those of the platform's own users, and those of a merchant's members; API keys have them within their kind. Whoever is
signed in without a role of the platform counts as `USER`. What an operation shows belongs to the caller's merchant."""


def page(services: Mapping[str, Sequence[Route[Any]]], table: Table = TABLE) -> str:
    """The page for *table* and the routes of each service."""
    lines = [_INTRODUCTION, "", "## Roles", "", "| role | of | meaning |", "|---|---|---|"]
    others = {role: [alias for alias, named in table.aliases.items() if named == role] for role in table.platform_roles}
    for role, meaning in table.platform_roles.items():
        names = ", ".join(f"`{name}`" for name in (role, *others[role]))
        lines.append(f"| {names} | the platform | {meaning} |")
    lines += [f"| `{role}` | a merchant | {meaning} |" for role, meaning in table.merchant_roles.items()]
    lines += [f"| `{kind}` | API keys | {meaning} |" for kind, meaning in table.key_kinds.items()]
    lines += ["", "## What each is for", "", "| permission | allows | platform | merchant | keys | operations |"]
    lines.append("|---|---|---|---|---|---|")
    rows = [row for routes in services.values() for row in routes if not row.public]
    for name, permission in table.permissions.items():
        used = [f"`{row.method} {row.path}`" for row in rows if row.permission == name]
        lines.append(f"| {' | '.join([f'`{name}`', *_cells(permission, table), '<br>'.join(used) or '–'])} |")
    return "\n".join([*lines, ""])


def _cells(permission: Permission, table: Table) -> list[str]:
    return [
        permission.description,
        _names(permission.platform, table.platform_roles),
        _names(permission.merchant, table.merchant_roles),
        _names(permission.keys, table.key_kinds),
    ]


def _names(having: frozenset[str], known: Iterable[str]) -> str:
    if having == frozenset(known):
        return "all"
    return ", ".join(name for name in known if name in having) or "–"
