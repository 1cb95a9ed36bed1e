"""Roles that are privileged: all but those of members, so that a role that comes later is privileged too."""

from collections.abc import Collection
from typing import Final

MEMBER_ROLES: Final = frozenset({"USER", "PROVIDER", "LAB_ASSISTANT"})


def privileged(roles: Collection[str]) -> frozenset[str]:
    """Those of *roles* (upper case) that let their holder act for others than themselves."""
    return frozenset(roles) - MEMBER_ROLES
