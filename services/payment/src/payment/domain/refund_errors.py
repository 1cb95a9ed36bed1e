"""What is refused about refunds, by name."""

from common.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unresolved


class RefundNotFound(NotFound):
    fix = "Check the refund's id, and that the refund is your merchant's."


class RefundTransitionInvalid(FailedPrecondition):
    """The table of moves does not hold this one."""

    fix = "Read the refund's status; this change is not possible in it."


class PaymentNotRefundable(FailedPrecondition):
    """The payment is not paid, under dispute, or all of it is refunded already."""

    fix = "Read the payment and its refunds; `POST /api/v1/refunds/preview` says what can still be refunded."


class RefundAmountInvalid(InvalidArgument):
    """The amount is not positive, or more than what can still be refunded."""

    fix = "Send an amount in minor units of the payment's currency, at most what the preview shows as refundable."


class RefundCreditsSpent(FailedPrecondition):
    """Credits that the payment bought are spent, and the merchant's policy is `block`."""

    fix = "Refund less, as the preview shows, or have the merchant's policy for spent credits changed."


class RefundLimitExceeded(PermissionDenied):
    """It is more than support may refund of one payment, what was refunded before included."""

    fix = "Ask somebody with the role FINANCE or ADMIN."


class RefundsTooMany(FailedPrecondition):
    """The payment was refunded, or was to be, in as many parts as it may be."""

    fix = "Refund what is left in the gateway's dashboard; it is taken over."


class RefundAwaitsApproval(Unresolved):
    """The amount needs a second person: the refund is proposed, and made once somebody else approves it."""

    fix = "Have another person with the role FINANCE or ADMIN decide about the approval that is named."


class RefundUnresolved(Unresolved):
    """The gateway or the wallet has not said what became of it; it is asked until it does."""

    fix = "Wait: it is asked again automatically."


class ReceiptRefundPending(Conflict):
    """A refund of this receipt is under way."""

    fix = "Read the payment's refunds: the receipt leaves the queue when its refund succeeds."


class ReceiptRefundAmbiguous(FailedPrecondition):
    """The gateway's refund names the order and not the capture, and it matters which one it picks."""

    fix = "Refund this capture in the gateway's dashboard; it is taken over, or recorded with REFUNDED."
