"""The VPAs and cards that force how a payment ends, and the reasons that Cashfree gives."""

from sandbox import outcomes
from sandbox.cashfree.domain import Failure, Method
from sandbox.outcomes import Outcome, name_of

DECLINED = Failure(
    "issuer bank or payment service provider declined the transaction", "TRANSACTION_DECLINED", "auth_declined"
)
DROPPED = Failure("User dropped and did not complete the two factor authentication", "USER_DROPPED", "user_dropped")
ABANDONED = Failure("Order is no longer active", "TRANSACTION_DECLINED", "order_closed", "cashfree")

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
MAGIC_HANDLES = outcomes.MAGIC_HANDLES | dict.fromkeys(_FAILURES, Outcome.FAILURE)


def failure_of(method: Method) -> Failure:
    """The reason that a failed payment by *method* gives."""
    return _FAILURES.get(name_of(method.handle), DECLINED)
