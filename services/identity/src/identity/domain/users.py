"""Users, and what they may be called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from identity.domain.errors import InvalidUser, RoleNotSelfService

ADMIN = "ADMIN"
# What one may sign up as; every other role is granted by an administrator. The table of roles says the same.
SELF_SERVICE = frozenset({"USER", "PROVIDER"})

EMAIL_LENGTH_MAX = 254
NAME_LENGTH_MAX = 120
PASSWORD_LENGTH_MIN = 8
# Longer ones would only keep the hashing threads busy.
PASSWORD_LENGTH_MAX = 128

# One "@", a dot in the host, no spaces or control characters: whether it exists only a mail can tell.
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_MOBILE_NUMBER = re.compile(r"[0-9]{6,14}")
_COUNTRY_CODE = re.compile(r"\+[1-9][0-9]{0,3}")

# Length stops guessing; these are long enough and are the first guesses all the same.
_COMMON_PASSWORDS = frozenset(
    {
        "password",
        "password1",
        "password12",
        "password123",
        "passw0rd",
        "12345678",
        "123456789",
        "1234567890",
        "qwertyui",
        "qwertyuiop",
        "qwerty123",
        "iloveyou",
        "letmein1",
        "welcome1",
        "welcome123",
        "admin123",
        "administrator",
        "changeme",
    }
)


class Status(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class Profile:
    """What users say about themselves."""

    name: str
    mobile_number: str | None
    country_code: str | None

    @property
    def phone(self) -> str:
        """E.164, or nothing."""
        return f"{self.country_code or ''}{self.mobile_number}" if self.mobile_number else ""


@dataclass(frozen=True, slots=True)
class Access:
    """What an administrator says about a user."""

    status: Status
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class User:
    """*version* grows with every change. The password's hash is not shown in logs or tracebacks."""

    user_id: UUID
    merchant_id: str
    email: str
    password_hash: str = field(repr=False)
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


def check_new_user(email: str, profile: Profile, password: str, confirmation: str, role: str) -> None:
    """Raises InvalidUser with every field that is wrong at once, or RoleNotSelfService."""
    problems = {
        "email": check_email(email),
        "name": check_name(profile.name),
        "password": check_password(password, {email, email.partition("@")[0], profile.name}),
        "confirmPassword": None if password == confirmation else "differs from the password",
        **check_phone(profile),
    }
    _refuse(problems)
    if role not in SELF_SERVICE:
        raise RoleNotSelfService(f"nobody signs up as {role}" if role.isalnum() and len(role) < 32 else "")


def check_profile(profile: Profile) -> None:
    """Raises InvalidUser."""
    _refuse({"name": check_name(profile.name), **check_phone(profile)})


def check_new_password(password: str, confirmation: str, others: Collection[str]) -> None:
    """Raises InvalidUser."""
    same = password == confirmation
    _refuse({"password": check_password(password, others), "confirmPassword": None if same else "differs"})


def check_email(email: str) -> str | None:
    """What is wrong with it, if anything. It is compared without regard to case."""
    if len(email) <= EMAIL_LENGTH_MAX and _EMAIL.fullmatch(email) and ".." not in email:
        return None
    return "is not an e-mail address"


def check_name(name: str) -> str | None:
    if not 1 <= len(name) <= NAME_LENGTH_MAX or name != name.strip():
        return f"has 1 to {NAME_LENGTH_MAX} characters, none of them a space at either end"
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in name) or set(
        name
    ) & set("<>"):
        return "has a character that no name has"
    return None


def check_password(password: str, others: Collection[str]) -> str | None:
    """What is wrong with it; it may be none of *others* (the user's name, the e-mail address)."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        return f"has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters"
    folded = password.casefold()
    if len(set(password)) < 4 or folded in _COMMON_PASSWORDS or folded in {other.casefold() for other in others}:
        return "is easily guessed"
    return None


def check_phone(profile: Profile) -> dict[str, str | None]:
    number, code = profile.mobile_number, profile.country_code
    return {
        "mobileNumber": None if number is None or _MOBILE_NUMBER.fullmatch(number) else "has 6 to 14 digits",
        "countryCode": None if code is None or _COUNTRY_CODE.fullmatch(code) else "looks like +91",
    }


def normalised_password(password: str) -> str:
    """The same password from any keyboard: Unicode has several spellings for one character."""
    return unicodedata.normalize("NFKC", password)


def _refuse(problems: dict[str, str | None]) -> None:
    wrong = {name: problem for name, problem in problems.items() if problem is not None}
    if wrong:
        raise InvalidUser("some fields are wrong", **wrong)
