"""The outside world: whoever takes mails and passes them on."""

from typing import Protocol

from notifier.domain import Refused, Sent


class MailGateway(Protocol):
    """Takes one mail at a time; many calls may run at once."""

    async def send(self, recipient: str, message: bytes, attempt: int) -> Sent | Refused:
        """Hand *message* over. *attempt* counts from 1.

        Raises common.intents.Later when the server wants it later, and whatever else when the outcome is not known.
        """
        ...
