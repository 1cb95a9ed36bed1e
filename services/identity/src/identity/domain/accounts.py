"""Accounts and their merchants: an account has two environments, live and test, and each is a tenant of its own."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from common import contacts, names
from common.errors import RequestInvalid
from common.texts import printable
from identity.domain.errors import MerchantInvalid

# Of one user, so that nobody makes accounts without end.
ACCOUNTS_PER_USER_MAX = 20
URL_LENGTH_MAX = 300


class Environment(StrEnum):
    LIVE = "live"
    TEST = "test"


class AccountStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class MerchantProfile(Struct, frozen=True):
    """What a merchant says of itself to its customers. What is None is not known."""

    name: str
    legal_name: str | None = None
    website: str | None = None
    logo_url: str | None = None
    support_email: str | None = None
    support_phone: str | None = None


class Merchant(Struct, frozen=True):
    """One environment of an account. It is active while the account is."""

    merchant_id: str
    account_id: str
    environment: Environment
    profile: MerchantProfile
    is_active: bool
    created_at: datetime
    updated_at: datetime


class Account(Struct, frozen=True):
    account_id: str
    name: str
    status: AccountStatus
    merchants: tuple[Merchant, ...]
    created_at: datetime

    @property
    def is_active(self) -> bool:
        return self.status is AccountStatus.ACTIVE

    @property
    def live(self) -> Merchant:
        """What happens to the account stands in the audit log of this one."""
        return next(each for each in self.merchants if each.environment is Environment.LIVE)


class ProfileChange(Struct, frozen=True):
    """What is unset stays; None deletes."""

    name: str | UnsetType = UNSET
    legal_name: str | UnsetType | None = UNSET
    website: str | UnsetType | None = UNSET
    logo_url: str | UnsetType | None = UNSET
    support_email: str | UnsetType | None = UNSET
    support_phone: str | UnsetType | None = UNSET


def changed_profile(profile: MerchantProfile, change: ProfileChange) -> MerchantProfile:
    """*profile* after *change*, as it is stored. Raises MerchantInvalid with every field that is wrong at once."""
    set_fields = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    return checked_profile(replace(profile, **set_fields))


def changed_fields(before: MerchantProfile, after: MerchantProfile) -> list[str]:
    return [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]


def checked_profile(profile: MerchantProfile) -> MerchantProfile:
    """*profile* as it is stored. Raises MerchantInvalid with every field that is wrong at once."""
    problems: dict[str, str] = {}
    for field, text in (("name", profile.name), ("legalName", profile.legal_name)):
        if text is not None and (problem := names.name_problem(text)):
            problems[field] = problem
    for field, url in (("website", profile.website), ("logoUrl", profile.logo_url)):
        if url is not None and not _is_https(url):
            problems[field] = f"is an https address of at most {URL_LENGTH_MAX} characters"
    email, phone = profile.support_email, profile.support_phone
    try:
        email = None if email is None else contacts.email_address(email, field="supportEmail")
    except RequestInvalid as error:
        problems |= error.fields
    try:
        phone = None if phone is None else contacts.phone_number(phone, field="supportPhone")
    except RequestInvalid as error:
        problems |= error.fields
    _refuse(problems)
    return replace(profile, support_email=email, support_phone=phone)


def _is_https(url: str) -> bool:
    if not url.isascii() or not printable(url, URL_LENGTH_MAX) or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and "." in (parts.hostname or "") and "@" not in parts.netloc


def _refuse(problems: Mapping[str, str]) -> None:
    if problems:
        raise MerchantInvalid("some fields are wrong", **problems)
