"""Dated versions of the HTTP API: what a client was written for goes on working (docs/changelog.md says what changed).

An API key speaks the newest version of the day that it was made; a request may name another in CommDesk-Version.
There is one version so far.
"""

from typing import Final

from common.errors import InvalidArgument

HEADER: Final = "CommDesk-Version"
# In order. One that is listed is served for ever, or until docs/changelog.md has announced its end for a year.
API_VERSIONS: Final = ("2026-11-28",)
LATEST: Final = API_VERSIONS[-1]


class ApiVersionUnknown(InvalidArgument):
    """There is no such version of the API."""

    fix = "Send a version of the changelog in CommDesk-Version, or leave the header out for the API key's own."


def validated(version: str) -> str:
    """*version* itself. Raises ApiVersionUnknown."""
    if version not in API_VERSIONS:
        raise ApiVersionUnknown(f"the newest version is {LATEST}")
    return version
