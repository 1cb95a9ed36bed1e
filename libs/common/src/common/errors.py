"""Errors that a caller can act on: a kind decides the status of each transport, a class name is the code.

A service writes `class PaymentNotFound(NotFound): fix = "Check the payment id."` and is done. Names are public API:
`<thing>_<what is wrong>`, one spelling for one mistake. An exception that is not a `DomainError` is a bug: it is
answered without a text and logged with its trace.
"""

import re
from typing import ClassVar

import msgspec

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class DomainError(Exception):
    """A refusal with a name.

    `message` is shown to the caller, so it holds no secrets and no personal data; `fields` says per field of the
    request what is wrong with it.
    """

    code: str = "domain_error"
    kind: ClassVar[str] = "DomainError"
    fix: ClassVar[str] = "Read the message; the request cannot be carried out as it is."

    def __init__(self, message: str = "", /, **fields: str) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.code = _WORD_START.sub("_", cls.__name__).lower()
        if DomainError in cls.__bases__:
            cls.kind = cls.__name__

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuilt, (type(self), self.message, self.__dict__))


def _rebuilt(cls: type[DomainError], message: str, state: dict[str, object]) -> DomainError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class InvalidArgument(DomainError):
    """The request is wrong whatever the state of the world."""

    fix = "Correct the fields that are named, then send the request again."


class NotFound(DomainError):
    """The thing is not there, or not the caller's to see."""

    fix = "Check the id, and that it belongs to your merchant."


class FailedPrecondition(DomainError):
    """The request is fine, the state does not allow it."""

    fix = "Read the current state; the operation is not possible in it."


class Conflict(DomainError):
    """Somebody else was faster, or is still at it."""

    fix = "Read the current state, then decide whether to send the request again."


class KeyReused(DomainError):
    """An idempotency key came back with another request."""

    fix = "Use a new idempotency key for a new request."


class Unauthenticated(DomainError):
    """Nobody knows who is asking."""

    fix = "Send a valid access token in the Authorization header."


class PermissionDenied(DomainError):
    """The caller is known and may not do this."""

    fix = "Ask for the role that this operation needs."


class ResourceExhausted(DomainError):
    """A quota or a rate is used up; it comes back with time."""

    fix = "Wait for as long as Retry-After says, then send the request again."
    retry_after_seconds: int = 1


class Unavailable(DomainError):
    """Something that we need does not answer. Nothing is known to have happened; the same request may be repeated."""

    fix = "Send the same request again after Retry-After, with the same idempotency key."
    retry_after_seconds: int = 1


class Overloaded(Unavailable):
    """More is waiting, in requests or before a flush, than can be worked off in time."""

    fix = "Send the same request again after Retry-After, with the same idempotency key."


class TooLarge(DomainError):
    """The request is bigger than the endpoint takes."""

    fix = "Send a smaller request."


class Unresolved(DomainError):
    """It was started and its outcome is not known yet; unknown is not failed."""

    fix = "Do not start it anew: ask for its status until it is final."
    retry_after_seconds: int = 2


class RequestInvalid(InvalidArgument):
    """The request is malformed, out of range, or holds what does not go together; `fields` says where."""

    fix = "Correct the fields that are named; the API description shows the expected shape."


class RightsOutdated(PermissionDenied):
    """The caller's account has lost, since the access token was issued, the role, status or session that this needs."""

    fix = "Refresh the access token, or ask an administrator."


class StepUpRequired(PermissionDenied):
    """This moves money or rights: the caller has to prove anew who they are, with password and second factor."""

    fix = "`POST /api/v1/users/step-up` with password and code, then send the request again with the new access token."


class SecondFactorMissing(PermissionDenied):
    """This moves money or rights, for which staff accounts need a second factor, and the caller's has none."""

    fix = "Enrol one: `POST /api/v1/users/second-factor`, confirm it, step up, then send the request again."


class LimitExceeded(InvalidArgument):
    """One request asks for more items than one request may; `fields` says which and how many are allowed."""

    fix = "Ask for fewer at once, in several requests."


def require_at_most(most: int, /, **counts: int) -> None:
    """Raises LimitExceeded, naming the fields whose count is above *most* or below zero."""
    wrong = {name: f"0 to {most}" for name, count in counts.items() if not 0 <= count <= most}
    if wrong:
        raise LimitExceeded(f"at most {most}", **wrong)


KINDS: tuple[type[DomainError], ...] = (
    InvalidArgument,
    NotFound,
    FailedPrecondition,
    Conflict,
    KeyReused,
    Unauthenticated,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    TooLarge,
    Unresolved,
)

KIND_BY_NAME: dict[str, type[DomainError]] = {kind.kind: kind for kind in KINDS}


def kind_of(error: DomainError | type[DomainError]) -> type[DomainError]:
    """The kind that *error* belongs to: one of `KINDS`. A bare `DomainError` is nobody's kind and a KeyError."""
    return KIND_BY_NAME[error.kind]


def revived(code: str, kind: str, message: str = "", fields: dict[str, str] | None = None) -> DomainError:
    """The error that another process raised: its kind is ours, its code is kept though its class is not known here.

    An unknown kind (a newer peer) is `Unresolved`: it says nothing about what happened.
    """
    error = KIND_BY_NAME.get(kind, Unresolved)(message, **(fields or {}))
    error.code = code or error.code
    return error


class Entry(msgspec.Struct, frozen=True, order=True):
    """One error of the catalogue. *meaning* is the class's docstring, *source* the package that has it."""

    code: str
    kind: str
    fix: str
    meaning: str
    source: str


def catalogue() -> list[Entry]:
    """Every error whose class is imported so far, sorted by code."""
    return sorted(
        {
            Entry(error.code, error.kind, error.fix, _first_paragraph(error), error.__module__.partition(".")[0])
            for error in _descendants(DomainError)
        }
    )


def _first_paragraph(error: type[DomainError]) -> str:
    text = error.__dict__.get("__doc__") or ""
    return " ".join(text.partition("\n\n")[0].split())


def _descendants(cls: type[DomainError]) -> list[type[DomainError]]:
    return [each for child in cls.__subclasses__() for each in (child, *_descendants(child))]
