"""What a reply code of an SMTP server means for the mail."""

from enum import StrEnum
from typing import Final

import msgspec

# A mail that is refused temporarily this many times, days by then, has failed.
ATTEMPTS_MAX: Final = 24
_RETRY_SECONDS: Final = (30, 60, 300, 900, 3600)


class MailSent(msgspec.Struct, frozen=True):
    """The server accepted the mail."""

    code: int


class MailRejected(msgspec.Struct, frozen=True):
    """The server will not accept this mail, now or later."""

    code: int
    reason: str


class ReplyMeaning(StrEnum):
    ACCEPTED = "ACCEPTED"
    TEMPORARY = "TEMPORARY"
    PERMANENT = "PERMANENT"


class Stage(StrEnum):
    """The command that a reply answers."""

    SENDER = "SENDER"
    RECIPIENT = "RECIPIENT"
    DATA = "DATA"
    CONTENT = "CONTENT"


# The session or our login is at fault: nothing is wrong with the mail.
_SESSION_CODES: Final = frozenset({421, 500, 501, 502, 503, 504, 530, 534, 535, 538})


def meaning(stage: Stage, code: int) -> ReplyMeaning:
    """4xx is temporary and 5xx permanent, except a 5xx about our sender or login: those are ours to repair."""
    if 200 <= code < 400:
        return ReplyMeaning.ACCEPTED
    if 500 <= code < 600 and stage is not Stage.SENDER and code not in _SESSION_CODES:
        return ReplyMeaning.PERMANENT
    return ReplyMeaning.TEMPORARY


def retry_seconds(attempt: int) -> int:
    """How long to wait after the *attempt*th temporary refusal, counting from 1."""
    return _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS)) - 1]
