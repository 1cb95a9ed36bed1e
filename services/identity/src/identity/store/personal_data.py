"""What identity holds of persons."""

from common import ids
from common.database import Tx
from common.personal_data import BlindIndex, Person, PersonalData, PersonalTable
from common.seals import EMAIL, IP, NAME, PHONE, TOTP_SECRET, USER_AGENT
from identity.store import queries

_OF_USER = "user_id = :user_uuid"

USERS = PersonalTable(
    name="users",
    key="user_id",
    sealed={"email": EMAIL, "name": NAME, "mobile_number": PHONE},
    indexes={"email_index": BlindIndex("email", normalise=str.lower, replaces="email_key")},
    of_person=_OF_USER,
    shown=("merchant_id", "country_code", "type", "status", "is_email_verified", "created_at", "updated_at"),
    # The row stays, because others name its id; it has no login and is not found by an address any more.
    erased={
        "email": "''",
        "email_index": "sha256(convert_to('erased ' || user_id, 'UTF8'))",
        "email_key": "null",
        "name": "'-'",
        "mobile_number": "null",
        "country_code": "null",
        "password_hash": "'$argon2id$erased'",
        "status": "'INACTIVE'",
        "is_email_verified": "false",
        "is_mobile_number_verified": "false",
    },
)
# Sessions end by themselves: they are deleted when they have expired.
SESSIONS = PersonalTable(
    name="sessions",
    key="session_id",
    sealed={"ip": IP, "user_agent": USER_AGENT},
    of_person=_OF_USER,
    shown=("created_at", "rotated_at", "expires_at", "revoked_at", "revoked_because"),
    deleted=True,
)
ACCOUNT_TOKENS = PersonalTable(
    name="account_tokens",
    key="token_hash",
    key_type="bytea",
    of_person=_OF_USER,
    shown=("purpose", "created_at", "expires_at"),
    deleted=True,
    is_exported=False,
)
SECOND_FACTORS = PersonalTable(
    name="second_factors",
    key="user_id",
    sealed={"secret": TOTP_SECRET},
    of_person=_OF_USER,
    deleted=True,
    is_exported=False,
)
ROLES = PersonalTable(name="user_roles", key="role", of_person=_OF_USER, shown=("granted_by", "granted_at"))

MEMBERSHIPS = PersonalTable(
    name="memberships",
    key="account_id",
    key_type="text",
    of_person=_OF_USER,
    shown=("roles", "created_at", "updated_at"),
    deleted=True,
)
# Also of people who never signed up: found by their address.
INVITATIONS = PersonalTable(
    name="invitations",
    key="invitation_id",
    sealed={"email": EMAIL},
    indexes={"email_index": BlindIndex("email", normalise=str.lower)},
    of_person="email_index = :email_index",
    shown=("account_id", "roles", "status", "created_at", "expires_at"),
    deleted=True,
)


async def resolve(tx: Tx, person: Person) -> Person:
    """The user behind an e-mail address, or the address of a user."""
    user = None
    if (user_id := person.user_uuid) is not None:
        user = (await queries.users_by_id(tx, {user_id})).get(user_id)
    elif person.email:
        user = await queries.user_of_any_merchant(tx, person.email)
    if user is None:
        return person
    return Person(ids.encode("usr", user.user_id), user.email or person.email, person.orders)


# Users before their sessions, as everybody locks them.
PERSONAL_DATA = PersonalData(
    tables=(USERS, SESSIONS, ACCOUNT_TOKENS, SECOND_FACTORS, ROLES, MEMBERSHIPS, INVITATIONS),
    cached=("user:{user}", "session:{user}"),
    resolve=resolve,
)
