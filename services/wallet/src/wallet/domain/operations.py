"""What may be asked of a wallet, and what is wrong with it whatever the wallet holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from common.errors import DomainError
from common.money import Money
from wallet.domain.errors import InvalidConsumption, InvalidGrant
from wallet.domain.wallets import OWNER_KINDS, Owner

# One operation moves at most this many credits; sums over a wallet's life stay far below 2^63.
CREDITS_MAX = 2**31
KEY_CHARACTERS_MAX = 128
ID_CHARACTERS_MAX = 128
PURPOSE_CHARACTERS_MAX = 64

# Keys that we make ourselves begin like this. A caller who could choose one would block the operation it stands for.
GRANT_KEY = "grant:"


@dataclass(slots=True)
class Grant:
    """Credits that a payment bought; `value` is its net price."""

    owner: Owner
    payment_id: UUID
    source_id: str
    credits_paid: int
    credits_bonus: int
    value: Money

    @property
    def operation_key(self) -> str:
        """A payment grants once, whoever says so and however often."""
        return GRANT_KEY + self.source_id


@dataclass(slots=True)
class Consumption:
    operation_key: str
    owner: Owner
    credits: int
    purpose: str
    source_id: str


Operation = Grant | Consumption
# A key is unique within its merchant.
ScopedKey = tuple[str, str]


def refusal_of(operation: Operation) -> DomainError | None:
    """Why *operation* is wrong whatever its wallet holds, or None. What passes is safe to send to the database."""
    if isinstance(operation, Consumption):
        wrong = {**_wrong_owner(operation.owner), **_wrong_consumption(operation)}
        return InvalidConsumption("the consumption is malformed", **wrong) if wrong else None
    wrong = {**_wrong_owner(operation.owner), **_wrong_grant(operation)}
    return InvalidGrant("the grant is malformed", **wrong) if wrong else None


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


def _wrong_consumption(asked: Consumption) -> dict[str, str]:
    wrong = {}
    if not _is_word(asked.operation_key, KEY_CHARACTERS_MAX):
        wrong["operation_key"] = f"1 to {KEY_CHARACTERS_MAX} printable characters"
    elif asked.operation_key.startswith(GRANT_KEY):
        wrong["operation_key"] = f"keys that begin with {GRANT_KEY!r} are ours"
    if not 0 < asked.credits <= CREDITS_MAX:
        wrong["credits"] = f"1 to {CREDITS_MAX}"
    if asked.purpose and not _is_word(asked.purpose, PURPOSE_CHARACTERS_MAX):
        wrong["purpose"] = f"at most {PURPOSE_CHARACTERS_MAX} printable characters"
    if asked.source_id and not _is_word(asked.source_id, ID_CHARACTERS_MAX):
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


def _is_word(text: str, characters_max: int) -> bool:
    # Unprintable characters include NUL, which Postgres refuses together with the whole batch.
    return 0 < len(text) <= characters_max and text.isprintable()
