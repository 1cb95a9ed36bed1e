"""Second factors: one-time passwords by time (TOTP, RFC 6238), and recovery codes for who has lost the device."""

import hashlib
import hmac
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from msgspec.structs import replace

from common.errors import DomainError
from identity.domain.concealed import Concealed
from identity.domain.errors import SecondFactorInvalid, SecondFactorRequired

# What authenticator apps know: six digits of HMAC-SHA-1, a new code every half minute.
DIGITS = 6
STEP_SECONDS = 30
# A clock may differ and a code may be typed slowly: the step before and the one after are accepted too.
STEPS_AROUND = 1
SECRET_BYTES = 20
RECOVERY_CODES = 10
# 80 bits: no list of guesses reaches a hash of them.
RECOVERY_CODE_BYTES = 10
# To scan a picture and type a code. Later the secret is made anew: it does not lie about for somebody to guess at.
ENROLMENT_LIFE = timedelta(minutes=10)


class SecondFactor(Concealed, frozen=True):
    """A user's second factor; it counts once *confirmed_at*. *last_step* is the newest time step whose code was used,
    *recovery_hashes* the SHA-256 of the recovery codes that are left.
    """

    user_id: UUID
    secret: bytes
    last_step: int
    recovery_hashes: tuple[bytes, ...]
    created_at: datetime
    confirmed_at: datetime | None = None

    @property
    def is_confirmed(self) -> bool:
        return self.confirmed_at is not None

    def is_enrolling(self, now: datetime) -> bool:
        """Whether it may be confirmed at *now*."""
        return not self.is_confirmed and now < self.created_at + ENROLMENT_LIFE


def code_of(secret: bytes, step: int) -> str:
    """The code of a time step."""
    return HOTP(secret, DIGITS, SHA1()).generate(step).decode()  # noqa: S303 - HMAC, as apps know it


def step_at(moment: datetime) -> int:
    return int(moment.timestamp()) // STEP_SECONDS


def used(factor: SecondFactor, code: str, now: datetime) -> SecondFactor | None:
    """*factor* after *code* was used; None when the code is wrong or was used before, recovery codes included."""
    code = normalised(code)
    current = step_at(now)
    steps = range(max(current - STEPS_AROUND, factor.last_step + 1), current + STEPS_AROUND + 1)
    # Every one is compared, so that the time does not show which.
    matches = [step for step in steps if hmac.compare_digest(code_of(factor.secret, step).encode(), code.encode())]
    if matches:
        return replace(factor, last_step=matches[-1])
    hashed = recovery_hash(code)
    left = tuple(each for each in factor.recovery_hashes if not hmac.compare_digest(each, hashed))
    return replace(factor, recovery_hashes=left) if len(left) < len(factor.recovery_hashes) else None


def checked(factor: SecondFactor | None, code: str | None, now: datetime) -> SecondFactor | DomainError | None:
    """The user's factor after *code* was used, or why that does not suffice; None when the user needs none."""
    if factor is None or not factor.is_confirmed:
        # Accepting a code that nothing stands behind would vouch for a factor that does not exist.
        return SecondFactorInvalid("there is no second factor") if code is not None else None
    if code is None:
        return SecondFactorRequired("the code of your second factor is needed too")
    return used(factor, code, now) or SecondFactorInvalid("the code is wrong")


def normalised(code: str) -> str:
    """As people type codes: with spaces, hyphens and capital letters."""
    return "".join(code.split()).replace("-", "").lower()


def recovery_hash(code: str) -> bytes:
    """What the database keeps of a recovery code."""
    return hashlib.sha256(b"recovery " + normalised(code).encode(errors="replace")).digest()
