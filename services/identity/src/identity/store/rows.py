"""Rows as the domain's records, opened."""

from common.database import Row
from common.seals import EMAIL, IP, NAME, PHONE, USER_AGENT, Sealer
from identity.domain.revocations import Revocation
from identity.domain.sessions import Device, Session
from identity.domain.throttles import Throttle
from identity.domain.users import Access, Profile, Status, User

# Of SHA-256.
HASH_BYTES = 32


def email_index(sealer: Sealer, email: str) -> bytes:
    """What finds a user by *email*, without regard to case."""
    return sealer.blind_index(EMAIL, email.lower())


def user(row: Row, sealer: Sealer) -> User:
    """Of a row of users with the array *roles*."""
    mobile_number = None if row.mobile_number is None else sealer.open(PHONE, row.mobile_number)
    return User(
        user_id=row.user_id,
        merchant_id=row.merchant_id,
        email=sealer.open(EMAIL, row.email),
        password_hash=row.password_hash,
        profile=Profile(sealer.open(NAME, row.name), mobile_number, row.country_code),
        type=row.type,
        access=Access(status=Status(row.status), roles=frozenset(row.roles)),
        is_email_verified=row.is_email_verified,
        is_mobile_number_verified=row.is_mobile_number_verified,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def session(row: Row, sealer: Sealer) -> Session:
    return Session(
        session_id=row.session_id,
        user_id=row.user_id,
        generation=row.generation,
        token_hash=bytes(row.token_hash),
        device=Device(ip=sealer.open(IP, row.ip), user_agent=sealer.open(USER_AGENT, row.user_agent)),
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_because=row.revoked_because,
        retired_hashes=hashes(bytes(row.retired_hashes)),
        # Null in rows that a replica of the version before has written.
        authenticated_at=row.authenticated_at or row.created_at,
        has_second_factor=row.has_second_factor,
        merchant_id=row.merchant_id,
    )


def hashes(joined: bytes) -> tuple[bytes, ...]:
    """Of a column that holds SHA-256 hashes one after the other."""
    return tuple(joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES))


def revocation(row: Row) -> Revocation:
    return Revocation(
        revocation_id=row.revocation_id,
        merchant_id=row.merchant_id,
        user_id=row.user_id,
        session_id=row.session_id,
        user_version=row.user_version,
        reason=row.reason,
        revoked_at=row.revoked_at,
    )


def throttle(row: Row) -> Throttle:
    return Throttle(row.key, row.attempts, row.window_ends_at, row.blocked_until)
