"""What may be asked of a wallet, and what is wrong with it whatever the wallet holds."""

from collections.abc import Mapping
from functools import lru_cache, partial
from uuid import UUID

from msgspec import Struct

from common import ids
from common.errors import DomainError
from common.money import Money
from wallet.domain.errors import ConsumptionInvalid, ForgivenessInvalid, GrantInvalid, HoldInvalid
from wallet.domain.holds import HoldRequest
from wallet.domain.wallets import OWNER_KINDS, Owner

# One operation moves at most this many credits; sums over a wallet's life stay far below 2^63.
CREDITS_MAX = 2**31
KEY_CHARACTERS_MAX = 128
ID_CHARACTERS_MAX = 128
PURPOSE_CHARACTERS_MAX = 64

REASON_CHARACTERS = (3, 500)

# Keys that we make ourselves begin like this. A caller who could choose one would block the operation it stands for.
GRANT_KEY = "grant:"
REGRANT_KEY = "regrant:"
FORGIVE_KEY = "forgive:"
# Of a hold: what begins like this, and the id that must follow.
HOLD_KEYS = {"refund:": "rfd", "dispute:": "dsp"}
OUR_KEYS = (GRANT_KEY, REGRANT_KEY, FORGIVE_KEY, *HOLD_KEYS)


class Grant(Struct, frozen=True, gc=False):
    """Credits that a payment bought; `value` is its net price. *paid_micros*: when the success was announced, in
    microseconds since 1970; 0 where nobody measures.
    """

    owner: Owner
    payment_id: UUID
    credits_paid: int
    credits_bonus: int
    value: Money
    paid_micros: int = 0

    @property
    def source_id(self) -> str:
        """The payment's id as the world sees it."""
        return _payment_id_text(self.payment_id)

    @property
    def operation_key(self) -> str:
        return grant_key(self.payment_id)


def grant_key(payment_id: UUID) -> str:
    """One per payment: a payment grants once, however often it is announced."""
    return GRANT_KEY + _payment_id_text(payment_id)


# Each grant of a batch needs it several times.
_payment_id_text = lru_cache(maxsize=4096)(partial(ids.encode, "pay"))


class Consumption(Struct, frozen=True, gc=False):
    operation_key: str
    owner: Owner
    credits: int
    purpose: str
    source_id: str


class Forgiveness(Struct, frozen=True, gc=False):
    """Credits that a wallet no longer owes, by the decision of *actor* (operator:<name>)."""

    idempotency_key: str
    owner: Owner
    credits: int
    reason: str
    actor: str

    @property
    def operation_key(self) -> str:
        return FORGIVE_KEY + self.idempotency_key


Operation = Grant | Consumption | Forgiveness
# A key is unique within its merchant.
ScopedKey = tuple[str, str]


def scoped_key(operation: Operation) -> ScopedKey:
    return operation.owner.merchant_id, operation.operation_key


def refusal_of(operation: Operation) -> DomainError | None:
    """Why *operation* is wrong whatever its wallet holds, or None. What passes is safe to send to the database."""
    if isinstance(operation, Consumption):
        wrong = {**_wrong_owner(operation.owner), **_wrong_consumption(operation)}
        return ConsumptionInvalid("the consumption is malformed", **wrong) if wrong else None
    if isinstance(operation, Forgiveness):
        wrong = {**_wrong_owner(operation.owner), **_wrong_forgiveness(operation)}
        return ForgivenessInvalid("the debt cannot be forgiven like this", **wrong) if wrong else None
    wrong = {**_wrong_owner(operation.owner), **_wrong_grant(operation)}
    return GrantInvalid("the grant is malformed", **wrong) if wrong else None


def hold_refusal(request: HoldRequest, *, is_preview: bool = False) -> DomainError | None:
    """Why *request* is wrong whatever its wallet holds, or None. A preview may do without a key."""
    wrong = dict(_wrong_owner(request.owner))
    if not (is_preview and not request.operation_key) and not _is_hold_key(request.operation_key):
        wrong["operation_key"] = "refund:<rfd_…> or dispute:<dsp_…>"
    for name, credits in (("credits_paid", request.credits_paid), ("credits_bonus", request.credits_bonus)):
        if not 0 <= credits <= CREDITS_MAX:
            wrong[name] = f"0 to {CREDITS_MAX}"
    if not request.credits_paid + request.credits_bonus:
        wrong["credits_paid"] = "a hold reserves something"
    return HoldInvalid("the hold is malformed", **wrong) if wrong else None


def _is_hold_key(key: str) -> bool:
    prefix = HOLD_KEYS.get(key[: key.find(":") + 1])
    if prefix is None:
        return False
    try:
        ids.decode(prefix, key.partition(":")[2])
    except ids.IdInvalid:
        return False
    return True


@lru_cache(maxsize=4096)
def _wrong_owner(owner: Owner) -> Mapping[str, str]:
    wrong = {}
    if not _is_word(owner.merchant_id, ID_CHARACTERS_MAX):
        wrong["owner.merchant_id"] = f"1 to {ID_CHARACTERS_MAX} printable characters"
    if owner.kind not in OWNER_KINDS:
        wrong["owner.kind"] = f"one of {', '.join(sorted(OWNER_KINDS))}"
    if not _is_word(owner.id, ID_CHARACTERS_MAX):
        wrong["owner.id"] = f"1 to {ID_CHARACTERS_MAX} printable characters"
    return wrong


def _wrong_consumption(consumption: Consumption) -> dict[str, str]:
    wrong = {}
    if not _is_word(consumption.operation_key, KEY_CHARACTERS_MAX):
        wrong["operation_key"] = f"1 to {KEY_CHARACTERS_MAX} printable characters"
    elif consumption.operation_key.startswith(OUR_KEYS):
        wrong["operation_key"] = f"keys that begin with {', '.join(OUR_KEYS)} are ours"
    if not 0 < consumption.credits <= CREDITS_MAX:
        wrong["credits"] = f"1 to {CREDITS_MAX}"
    if consumption.purpose and not _is_word(consumption.purpose, PURPOSE_CHARACTERS_MAX):
        wrong["purpose"] = f"at most {PURPOSE_CHARACTERS_MAX} printable characters"
    if consumption.source_id and not _is_word(consumption.source_id, ID_CHARACTERS_MAX):
        wrong["source_id"] = f"at most {ID_CHARACTERS_MAX} printable characters"
    return wrong


def _wrong_grant(grant: Grant) -> dict[str, str]:
    wrong = {}
    for name, credits in (("credits_paid", grant.credits_paid), ("credits_bonus", grant.credits_bonus)):
        if not 0 <= credits <= CREDITS_MAX:
            wrong[name] = f"0 to {CREDITS_MAX}"
    if not grant.credits_paid + grant.credits_bonus:
        wrong["credits_paid"] = "a grant grants something"
    if grant.value.minor < 0:
        wrong["value"] = "not below zero"
    return wrong


def _wrong_forgiveness(forgiveness: Forgiveness) -> dict[str, str]:
    wrong = {}
    if not _is_word(forgiveness.idempotency_key, KEY_CHARACTERS_MAX - len(FORGIVE_KEY)):
        wrong["idempotency_key"] = f"1 to {KEY_CHARACTERS_MAX - len(FORGIVE_KEY)} printable characters"
    if not 0 < forgiveness.credits <= CREDITS_MAX:
        wrong["credits"] = f"1 to {CREDITS_MAX}"
    fewest, most = REASON_CHARACTERS
    if not (fewest <= len(forgiveness.reason.strip()) and _is_word(forgiveness.reason, most)):
        wrong["reason"] = f"{fewest} to {most} printable characters"
    if not (forgiveness.actor.startswith("operator:") and _is_word(forgiveness.actor, ID_CHARACTERS_MAX)):
        wrong["actor"] = f"operator:<name>, at most {ID_CHARACTERS_MAX} characters"
    return wrong


def _is_word(text: str, characters_max: int) -> bool:
    # Unprintable characters include NUL, which Postgres refuses together with the whole batch.
    return 0 < len(text) <= characters_max and text.isprintable()
