"""How a payment ends: commanded, forced by a magic amount or handle, by TEST_MODE, or drawn at random."""

from collections.abc import Mapping
from enum import StrEnum
from random import Random
from typing import Protocol

from sandbox.settings import Settings


class Method(Protocol):
    """How a payment is made, as far as it decides how the payment ends."""

    @property
    def kind(self) -> str:
        """upi, card or another."""

    @property
    def handle(self) -> str:
        """The VPA or card number."""


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    USER_DROPPED = "user_dropped"
    PENDING = "pending"  # until the order is terminated or expired, then FAILED
    PENDING_THEN_FAILURE = "pending_then_failure"
    PENDING_THEN_SUCCESS = "pending_then_success"
    LATE_SUCCESS = "late_success"  # FAILED first, then SUCCESS
    SUCCESS_TWICE = "success_twice"  # a second payment captures the same order
    AMOUNT_MISMATCH = "amount_mismatch"  # a rupee less than the order
    CURRENCY_MISMATCH = "currency_mismatch"


# Of every currency's minor units.
MAGIC_AMOUNTS: dict[int, Outcome] = {
    990_100: Outcome.SUCCESS,
    990_200: Outcome.FAILURE,
    990_300: Outcome.USER_DROPPED,
    990_400: Outcome.PENDING,
    990_500: Outcome.PENDING_THEN_FAILURE,
    990_600: Outcome.AMOUNT_MISMATCH,
    990_700: Outcome.CURRENCY_MISMATCH,
    990_800: Outcome.SUCCESS_TWICE,
    990_900: Outcome.LATE_SUCCESS,
    991_000: Outcome.PENDING_THEN_SUCCESS,
}
# VPAs by what they have before their @, and a card; each gateway has those that fail, for its own reasons.
MAGIC_HANDLES: dict[str, Outcome] = {
    "testsuccess": Outcome.SUCCESS,
    "testpending": Outcome.PENDING,
    "testuserdropped": Outcome.USER_DROPPED,
    "testpendingfailure": Outcome.PENDING_THEN_FAILURE,
    "testpendingsuccess": Outcome.PENDING_THEN_SUCCESS,
    "testlate": Outcome.LATE_SUCCESS,
    "testtwice": Outcome.SUCCESS_TWICE,
    "testamount": Outcome.AMOUNT_MISMATCH,
    "testcurrency": Outcome.CURRENCY_MISMATCH,
    "4111111111111111": Outcome.SUCCESS,
}
PAID_ON_CREATE_PAISE = 991_100  # paid, and its webhook answered, before the create call returns


class OutcomeDraw:
    """Draws the outcomes that are not forced; with a seed, the same ones every time."""

    def __init__(self, settings: Settings, random: Random, magic_handles: Mapping[str, Outcome]) -> None:
        self._settings = settings
        self._magic_handles = magic_handles
        self.random = random

    def outcome(self, method: Method, amount_paise: int) -> Outcome:
        """The outcome of a payment: magic amount, then magic handle, then TEST_MODE, then at random."""
        forced = MAGIC_AMOUNTS.get(amount_paise) or self._magic_handles.get(name_of(method.handle))
        if forced is not None:
            return forced
        if self._settings.test_mode:
            return Outcome.SUCCESS if self._settings.test_success else Outcome.FAILURE
        percent = self._settings.card_success_percent if method.kind == "card" else self._settings.upi_success_percent
        return Outcome.SUCCESS if self.random.randrange(100) < percent else Outcome.FAILURE

    def delay_ms(self) -> int:
        """How long a payment takes to be decided."""
        if self._settings.test_mode:
            return self._settings.test_delay_ms
        return self._between(self._settings.delay_min_ms, self._settings.delay_max_ms)

    def refund_delay_ms(self) -> int:
        """How long a refund takes."""
        if self._settings.test_mode:
            return self._settings.test_delay_ms
        return self._between(self._settings.refund_delay_min_ms, self._settings.refund_delay_max_ms)

    def _between(self, least: int, most: int) -> int:
        return self.random.randint(least, max(least, most))


def name_of(handle: str) -> str:
    """What a VPA has before its @, or a card number."""
    return handle.partition("@")[0]
