"""What payment refuses, by name. The kind decides the status at each endpoint; the class name is the code."""

from common.errors import (
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    Unresolved,
)


class TransitionInvalid(FailedPrecondition):
    """The table of moves does not hold this one."""

    fix = "Read the payment's status; this change is not possible in it."


class PaymentNotFound(NotFound):
    fix = "Check the payment, order or reference id, and that the payment is yours."


class PaymentNotKnownYet(FailedPrecondition):
    """An event is about a payment that is not stored (yet); it is retried."""

    fix = "Wait, or check that the event belongs to this installation."


class PaymentBlocked(PermissionDenied):
    """The fraud rules refuse this payment."""

    fix = "Contact support; the payment was not started and nothing was charged."


class OrderIdTaken(Conflict):
    """The order reference was used before, by the merchant or in the gateway account; it is unique for ever."""

    fix = "Use an order reference that you have never sent before, or leave it out and get one made."


class OrderIdInvalid(InvalidArgument):
    fix = "Send an order reference of 3 to 45 letters, digits, underscores and hyphens, or leave it out."


class CurrencyNotEnabled(InvalidArgument):
    fix = "Pay in INR, or ask for the currency to be enabled."


class AmountInvalid(InvalidArgument):
    fix = "Send the amount in whole paise, between the limits named, as a multiple of 10 paise (one credit)."


class PackUnknown(InvalidArgument):
    fix = "Read the packs on sale and send one of their ids, or an amount instead."


class PackOrAmountRequired(InvalidArgument):
    fix = "Send either packId or amount, not both and not neither."


class PacksUnavailable(Unavailable):
    fix = "Try again in a moment, or buy by amount: the list of packs cannot be read now."


class GatewayRefused(FailedPrecondition):
    """The gateway refused the order; the same order will not be made later."""

    fix = "Correct what the reason names and create a new payment; nothing was charged."


class PaymentUnresolved(Unresolved):
    """The gateway's answer is not known yet; it is looked up until it is, and the payment is never started twice."""

    fix = "Ask for the payment's status with its id until it is final; do not create another one."


class CancelNotAllowed(PermissionDenied):
    """The payment is somebody else's, and the caller's roles let them look at it only."""

    fix = "Ask the payment's owner, or somebody with the role FINANCE or ADMIN."


class VerificationLimitExceeded(ResourceExhausted):
    """The user has had more payments looked up at the gateway than one user may in a minute."""

    fix = "Wait for as long as Retry-After says; a payment's status changes without being asked for."


class PaymentNotCancellable(FailedPrecondition):
    fix = "Only an unpaid payment can be cancelled; for a paid one, contact support with the payment id."


class CheckoutSignatureInvalid(InvalidArgument):
    """The proof that the gateway's checkout signed is of another order, or the signature is wrong."""

    fix = "Send the three values exactly as the checkout handed them over, with this payment's reference id."


class OrderStateUnknown(Unresolved):
    """The gateway does not show a state of the order that answers the question; it is looked up again."""

    fix = "Wait: the gateway is asked again automatically."


class OrderTagMismatch(OrderStateUnknown):
    """The order in the gateway account was made for another payment, or by somebody else."""

    fix = "Check which installation made the order under this id; it never counts for this payment."


class SeriesExhausted(FailedPrecondition):
    """The next document number of the series would be longer than the 16 characters of Rule 46(b)."""

    fix = "Set another INVOICE_PREFIX, which begins another series, then replay the dead letters."


class PlaceOfSupplyInvalid(InvalidArgument):
    """The place of supply is not a state or union territory of India today."""

    fix = "Send the two digits of a GST state code that is in use, such as 29 for Karnataka, or leave it out."


class OrderNotKnownYet(FailedPrecondition):
    """No payment has this order id (yet); the event that names it is retried."""

    fix = "Wait, or check that the webhook belongs to this installation."


class VerdictUnknown(InvalidArgument):
    """A verdict of fraud that is neither ALLOW nor BLOCK; nothing is granted by it."""

    fix = "Deploy a payment service that knows the verdict, then replay the dead letter."


class WebhookUnreadable(InvalidArgument):
    """A webhook with a good signature that cannot be parsed: the gateway has changed its format."""

    fix = "Read the dead letter; replay it once a version that parses it is deployed, or discard it."
