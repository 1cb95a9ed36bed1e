"""What payment refuses, by name. The kind decides the status at each door; the class name is the code."""

from common.errors import (
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
    Unresolved,
)


class IllegalMove(FailedPrecondition):
    """The table of moves does not hold this one."""

    fix = "Read the payment's status; this change is not possible in it."


class PaymentNotFound(NotFound):
    fix = "Check the payment, order or reference id, and that the payment is yours."


class PaymentBlocked(PermissionDenied):
    """The fraud rules refuse this payment."""

    fix = "Contact support; the payment was not started and nothing was charged."


class OrderIdTaken(Conflict):
    """The merchant has used this order reference before; it is unique for ever."""

    fix = "Use an order reference that you have never sent before, or leave it out and get one made."


class CurrencyNotEnabled(InvalidArgument):
    fix = "Pay in INR, or ask for the currency to be enabled."


class AmountNotAllowed(InvalidArgument):
    fix = "Send the amount in whole paise, between the limits named, as a multiple of 10 paise (one credit)."


class PackUnknown(InvalidArgument):
    fix = "Read the packs on sale and send one of their ids, or an amount instead."


class PackOrAmountNeeded(InvalidArgument):
    fix = "Send either packId or amount, not both and not neither."


class FieldInvalid(InvalidArgument):
    fix = "Correct the fields that are named."


class PacksUnavailable(Unavailable):
    fix = "Try again in a moment, or buy by amount: the list of packs cannot be read now."


class GatewayRefused(FailedPrecondition):
    """The gateway said no to the order, for good."""

    fix = "Correct what the reason names and create a new payment; nothing was charged."


class PaymentUnresolved(Unresolved):
    """The gateway's answer is not known yet; we keep asking, and it is never started twice."""

    fix = "Ask for the payment's status with its id until it is final; do not create another one."


class PaymentNotCancellable(FailedPrecondition):
    fix = "Only an unpaid payment can be cancelled; ask for a refund of a paid one."


class FactsUnknown(Unresolved):
    """The gateway's own view does not settle the question yet; ask again later."""

    fix = "Wait: the gateway is asked again by itself."


class OrderUnknown(Unresolved):
    """No payment has this order id (yet); what refers to it waits."""

    fix = "Wait, or check that the webhook belongs to this installation."


class WebhookUnreadable(InvalidArgument):
    """A webhook with a good signature that says nothing we can read: the gateway has changed, or is broken."""

    fix = "Read the dead letter; replay it once a version that understands it is deployed, or discard it."
