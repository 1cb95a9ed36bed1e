"""Why an operation is refused."""

from common.errors import FailedPrecondition, InvalidArgument, KeyReused


class WalletInsufficientCredits(FailedPrecondition):
    """The wallet holds less than was asked for. The key is not used up: the same request may succeed later."""

    fix = "Top the wallet up, or ask for fewer credits."


class WalletCurrencyMismatch(InvalidArgument):
    """A wallet counts the value of its credits in one currency, which never changes: no later state accepts another."""

    fix = "Use a wallet of another owner for payments in another currency."


class OperationKeyReused(KeyReused):
    """The key already stands for another operation of this merchant."""

    fix = "Use a new operation key for a new operation; repeat a request with exactly the same content."


class ConsumptionInvalid(InvalidArgument):
    """The consumption cannot be carried out in any state of the wallet."""


class GrantInvalid(InvalidArgument):
    """The grant cannot be carried out in any state of the wallet."""
