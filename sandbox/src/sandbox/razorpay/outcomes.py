"""The VPAs and cards that force how a payment ends, and the reasons that Razorpay gives."""

from sandbox import outcomes
from sandbox.outcomes import Outcome, name_of
from sandbox.razorpay.domain import Failure, Method

DECLINED = Failure("Payment failed", "payment_failed")
CANCELLED = Failure(
    "Payment processing cancelled by user", "payment_cancelled", source="customer", step="payment_authentication"
)
TIMED_OUT = Failure(
    "Payment was unsuccessful as you could not complete it in time.",
    "payment_timed_out",
    source="customer",
    step="payment_authentication",
)
_INSUFFICIENT = Failure(
    "Your payment could not be completed due to insufficient account balance. Try again with another card or account.",
    "insufficient_funds",
    source="customer",
)
_GATEWAY = Failure(
    "Payment was unsuccessful due to a temporary issue. If amount got deducted, it will be refunded within 5-7 working "
    "days.",
    "gateway_technical_error",
    code="GATEWAY_ERROR",
    source="gateway",
    step="payment_response",
)

_FAILURES: dict[str, Failure] = {
    "failure": DECLINED,
    "testfailure": DECLINED,
    "testdeclineuser": Failure("Payment was declined by the customer.", "payment_declined", source="customer"),
    "testexpired": TIMED_OUT,
    "testtimeoutbank": Failure("The bank did not answer in time.", "bank_technical_error", code="GATEWAY_ERROR"),
    "testinsufficientfunds": _INSUFFICIENT,
    "testbankdeclined": Failure("Your payment was declined by the bank.", "card_declined"),
    "testriskflagged": Failure("Payment blocked as it looks risky.", "payment_risk_check_failed", source="business"),
    "testnetworkerror": _GATEWAY,
    "testinvalidpin": Failure("The UPI PIN entered is incorrect.", "incorrect_pin", source="customer"),
    # Razorpay's own test cards.
    "4100280000090000": TIMED_OUT,
    "4100280000080001": _INSUFFICIENT,
    "4100280000000009": Failure(
        "Authentication failed.", "authentication_failed", source="customer", step="payment_authentication"
    ),
}
MAGIC_HANDLES = outcomes.MAGIC_HANDLES | dict.fromkeys(_FAILURES, Outcome.FAILURE) | {"success": Outcome.SUCCESS}


def failure_of(method: Method) -> Failure:
    """The reason that a failed payment by *method* gives."""
    return _FAILURES.get(name_of(method.handle), DECLINED)
