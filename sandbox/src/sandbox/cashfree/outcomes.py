"""How a payment ends: forced by a magic amount, VPA or card, by TEST_MODE, or drawn at random."""

from enum import StrEnum
from random import Random

from sandbox.cashfree.domain import Failure, Method
from sandbox.settings import Settings


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


DECLINED = Failure(
    "issuer bank or payment service provider declined the transaction", "TRANSACTION_DECLINED", "auth_declined"
)
DROPPED = Failure("User dropped and did not complete the two factor authentication", "USER_DROPPED", "user_dropped")
ABANDONED = Failure("Order is no longer active", "TRANSACTION_DECLINED", "order_closed", "cashfree")

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
PAID_ON_CREATE_PAISE = 991_100  # paid, and its webhook answered, before the create call returns

_FAILURES: dict[str, Failure] = {
    "testfailure": DECLINED,
    "testdeclineuser": Failure("Customer declined the request", "TRANSACTION_DECLINED", "user_declined"),
    "testexpired": Failure("Collect request expired", "TRANSACTION_EXPIRED", "collect_expired"),
    "testtimeoutbank": Failure("Bank did not answer in time", "GATEWAY_ERROR", "bank_timeout", "bank"),
    "testinsufficientfunds": Failure("Insufficient funds", "TRANSACTION_DECLINED", "insufficient_funds"),
    "testbankdeclined": Failure("Bank declined the transaction", "TRANSACTION_DECLINED", "bank_declined", "bank"),
    "testriskflagged": Failure("Transaction flagged as risky", "RISK_DECLINED", "risk_flagged", "cashfree"),
    "testnetworkerror": Failure("Network error", "GATEWAY_ERROR", "network_error", "bank"),
    "testinvalidpin": Failure("Invalid UPI PIN entered", "TRANSACTION_DECLINED", "invalid_pin"),
    "4000000000000002": DECLINED,
    "4000000000009995": Failure("Insufficient funds", "TRANSACTION_DECLINED", "insufficient_funds"),
}
MAGIC_HANDLES: dict[str, Outcome] = dict.fromkeys(_FAILURES, Outcome.FAILURE) | {
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


def failure_of(method: Method) -> Failure:
    """The reason that a failed payment by *method* gives."""
    return _FAILURES.get(_name(method), DECLINED)


class OutcomeDraw:
    """Draws the outcomes that are not forced; with a seed, the same ones every time."""

    def __init__(self, settings: Settings, random: Random) -> None:
        self._settings = settings
        self.random = random

    def outcome(self, method: Method, amount_paise: int) -> Outcome:
        """The outcome of a payment: magic amount, then magic handle, then TEST_MODE, then at random."""
        forced = MAGIC_AMOUNTS.get(amount_paise) or MAGIC_HANDLES.get(_name(method))
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


def _name(method: Method) -> str:
    return method.handle.partition("@")[0]
