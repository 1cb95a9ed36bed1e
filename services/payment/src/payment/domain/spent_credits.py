"""What becomes of credits that a payment bought and that are spent already, when its money goes back."""

from enum import StrEnum


class SpentCreditsPolicy(StrEnum):
    """What becomes of credits that the payment bought and that are spent already."""

    # The refund is refused.
    BLOCK = "BLOCK"
    # The wallet owes them: its next grants pay first.
    DEBT = "DEBT"
    # The merchant bears them.
    ABSORB = "ABSORB"
