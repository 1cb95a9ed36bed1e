"""Mails about accounts. Their links lead to our own configured page, whatever an event says."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from common.names import shown_name
from notifier.domain.mails import Mail, Template
from notifier.domain.text import format_time


class AccountMailRequest(msgspec.Struct, frozen=True):
    """What an account mail tells; *event_id* is of the event that asks for it."""

    event_id: str
    merchant_id: str
    template: Template
    recipient: str
    name: str
    token: str
    expires_at: datetime
    # Of an invitation: what the merchant's account is called.
    account_name: str = ""


# Per template: the subject, and where on the page the link leads.
_WORDS: Final = {
    Template.ACCOUNT_VERIFY: ("Verify your e-mail address", "verify-email"),
    Template.ACCOUNT_RESET: ("Set a new password", "reset-password"),
    Template.ACCOUNT_EXISTS: ("You already have an account", "forgot-password"),
    Template.ACCOUNT_INVITE: ("You are invited to a merchant's account", "invitation"),
}
TEMPLATES: Final = frozenset(_WORDS)


def account_mail(request: AccountMailRequest, page_url: str, email_id: UUID) -> Mail:
    """The mail with a link to *page_url*; key `account:<event>`.

    The token stands in the fragment, which browsers send to no server: no access log and no Referer shows it.
    """
    subject, path = _WORDS[request.template]
    fragment = f"#token={request.token}" if request.token else ""
    return Mail(
        email_id=email_id,
        key=f"account:{request.event_id}",
        template=request.template,
        merchant_id=request.merchant_id,
        recipient=request.recipient,
        subject=subject,
        values={
            # Who wrote it is not known to be the reader: what is no name is left out.
            "name": shown_name(request.name),
            "account_name": shown_name(request.account_name),
            "url": f"{page_url.rstrip('/')}/{path}{fragment}",
            "expires_at": format_time(request.expires_at),
        },
        lines=[],
    )
