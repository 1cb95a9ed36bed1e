"""The outside world: a server that takes mails and passes them on."""

from typing import Protocol

from notifier.domain.smtp_replies import MailRejected, MailSent


class MailGateway(Protocol):
    """Takes one mail at a time; many calls may run at once."""

    async def send(self, recipient: str, message: bytes, attempt: int) -> MailSent | MailRejected:
        """Hand *message* over. *attempt* counts from 1.

        Raises common.intents.RetryLater when the server refuses it temporarily, and whatever else when the outcome is
        not known.
        """
        ...
