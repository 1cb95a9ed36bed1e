"""Users: profile, password, access, and what each of them may hold."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common import contacts, names
from common.errors import RequestInvalid
from identity.domain.concealed import Concealed
from identity.domain.errors import RoleNotSelfService, UserInvalid

ADMIN = "ADMIN"
# The roles to choose from at sign-up; an administrator grants every other one. The table of roles says the same.
SELF_SERVICE = frozenset({"USER", "PROVIDER"})

# Of a number that comes without one.
COUNTRY_CODE = "+91"
PASSWORD_LENGTH_MIN = 8
# Longer ones would only keep the hashing threads busy.
PASSWORD_LENGTH_MAX = 128

_country_code = re.compile(r"\+[1-9][0-9]{0,3}", re.ASCII).fullmatch


class Status(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class Profile(Struct, frozen=True):
    """What users enter about themselves."""

    name: str
    mobile_number: str | None
    country_code: str | None

    @property
    def phone(self) -> str:
        """E.164, or nothing."""
        return f"{self.country_code or ''}{self.mobile_number}" if self.mobile_number else ""


class Access(Struct, frozen=True):
    """What an administrator decides about a user."""

    status: Status
    roles: frozenset[str]


class User(Concealed, frozen=True):
    """*version* grows with every change."""

    user_id: UUID
    merchant_id: str
    email: str
    password_hash: str
    profile: Profile
    type: str
    access: Access
    is_email_verified: bool
    is_mobile_number_verified: bool
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def is_active(self) -> bool:
        return self.access.status is Status.ACTIVE


class SignUpForm(Concealed, frozen=True):
    """What a new user enters. Passwords are normalised."""

    email: str
    profile: Profile
    password: str
    confirmation: str
    role: str


def checked_form(form: SignUpForm, *, test_domains: bool) -> SignUpForm:
    """*form* with e-mail address and phone number as they are stored; addresses under .test where *test_domains*.

    Raises UserInvalid with every field that is wrong at once, or RoleNotSelfService.
    """
    problems: dict[str, str] = {}
    email = _checked_email(form.email, problems, test_domains=test_domains)
    profile = _checked_profile(form.profile, problems)
    others = {form.email, form.email.partition("@")[0], form.profile.name}
    _check_password(form.password, form.confirmation, others, problems)
    _refuse(problems)
    if form.role not in SELF_SERVICE:
        is_shown = form.role.isalnum() and len(form.role) < 32
        raise RoleNotSelfService(f"nobody signs up as {form.role}" if is_shown else "")
    return replace(form, email=email, profile=profile)


def checked_email(email: str) -> str:
    """*email* as it is stored; it is compared without regard to case. Raises UserInvalid."""
    problems: dict[str, str] = {}
    stored = _checked_email(email, problems, test_domains=True)
    _refuse(problems)
    return stored


def checked_profile(profile: Profile) -> Profile:
    """*profile* with its phone number as it is stored. Raises UserInvalid."""
    problems: dict[str, str] = {}
    stored = _checked_profile(profile, problems)
    _refuse(problems)
    return stored


def check_new_password(password: str, confirmation: str, others: Collection[str]) -> None:
    """It may be none of *others* (the user's name, the e-mail address). Raises UserInvalid.

    Whether it is easily guessed takes longer to find out: identity.passwords.
    """
    problems: dict[str, str] = {}
    _check_password(password, confirmation, others, problems)
    _refuse(problems)


def touched(user: User, now: datetime) -> User:
    """*user* in the next version."""
    return replace(user, version=user.version + 1, updated_at=now)


def _checked_email(email: str, problems: dict[str, str], *, test_domains: bool) -> str:
    try:
        return contacts.email_address(email, test_domains=test_domains)
    except RequestInvalid as error:
        problems |= error.fields
        return email


def _checked_profile(profile: Profile, problems: dict[str, str]) -> Profile:
    if problem := names.name_problem(profile.name):
        problems["name"] = problem
    code, number = profile.country_code, profile.mobile_number
    if code is not None and not _country_code(code):
        problems["countryCode"] = "looks like +91"
    elif number is not None:
        code = code or COUNTRY_CODE
        try:
            number = contacts.national_number(code, number, field="mobileNumber")
        except RequestInvalid as error:
            problems |= error.fields
    return replace(profile, country_code=code, mobile_number=number)


def _check_password(password: str, confirmation: str, others: Collection[str], problems: dict[str, str]) -> None:
    folded = password.casefold()
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        problems["password"] = f"has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters"
    elif folded in {other.casefold() for other in others}:
        problems["password"] = "is easily guessed"  # noqa: S105 - a message
    if password != confirmation:
        problems["confirmPassword"] = "differs from the password"


def normalised_password(password: str) -> str:
    """The same password from any keyboard: Unicode has several encodings of one character."""
    return unicodedata.normalize("NFKC", password)


def _refuse(problems: Mapping[str, str]) -> None:
    if problems:
        raise UserInvalid("some fields are wrong", **problems)
