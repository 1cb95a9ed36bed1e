"""Why an operation is refused."""

from common.errors import FailedPrecondition, InvalidArgument, KeyReused


class WalletInsufficientCredits(FailedPrecondition):
    """The wallet holds less than was asked for. The key is not used up: the same request may succeed later."""

    fix = "Top the wallet up, or ask for fewer credits."


class WalletCurrencyMismatch(InvalidArgument):
    """A wallet counts the value of its credits in one currency, which never changes: no later state accepts another."""

    fix = "Use a wallet of another owner for payments in another currency."


class WalletCreditsSpent(FailedPrecondition):
    """Credits that the payment bought are spent, and the policy refuses a refund then. Nothing was held."""

    fix = "Refund less, or under a policy that lets the wallet owe the spent credits or the merchant bear them."


class WalletGrantPending(FailedPrecondition):
    """The payment has granted no credits to this wallet yet; its event may still be on its way. Nothing was held."""

    fix = "Repeat the request with the same key once the credits are granted."


class WalletDebtExceeded(FailedPrecondition):
    """The wallet owes less than is to be forgiven."""

    fix = "Read the wallet's debt, and forgive at most that."


class HoldNotFound(FailedPrecondition):
    """No hold has this id (yet)."""


class HoldMismatched(InvalidArgument):
    """The hold was made for another refund or dispute than the event names."""

    fix = "Correct the announcing service; discard the dead letter and announce a corrected event."


class HoldClosed(InvalidArgument):
    """The hold ended the other way: what was released cannot be taken, and what was taken cannot be released."""

    fix = "Find out from the gateway which of the two happened; then grant or take the credits back by a new operation."


class OperationKeyReused(KeyReused):
    """The key already stands for another operation of this merchant."""

    fix = "Use a new operation key for a new operation; repeat a request with exactly the same content."


class ConsumptionInvalid(InvalidArgument):
    """The consumption cannot be carried out in any state of the wallet."""


class HoldInvalid(InvalidArgument):
    """The hold cannot be made in any state of the wallet."""


class ForgivenessInvalid(InvalidArgument):
    """The debt cannot be forgiven like this in any state of the wallet."""


class GrantInvalid(InvalidArgument):
    """The grant cannot be carried out in any state of the wallet."""
