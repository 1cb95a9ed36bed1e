"""Error responses: which kind of error has which status, and its one shape. Domain code names no status."""

from common.errors import (
    KINDS,
    Conflict,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    KeyReused,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unresolved,
)
from common.http_server.responses import EncodedResponse, encode


class UnsupportedMediaType(InvalidArgument):
    fix = "Send the body as JSON with the header `Content-Type: application/json`."


class ContentEncodingUnsupported(UnsupportedMediaType):
    fix = "Send the body as it is, without the header Content-Encoding."


class RequestMalformed(InvalidArgument):
    """What came is no HTTP request: its first line, its headers or the framing of its body cannot be read."""

    fix = "Send a well-formed HTTP/1.1 request; the connection is closed."


class BodyTooLarge(TooLarge):
    fix = "Send a smaller body; the limit is in the message."


class BodyTooSlow(InvalidArgument):
    fix = "Send the whole request without pauses."


class RouteNotFound(NotFound):
    fix = "Check the path; the API description lists all of them."


class MethodNotAllowed(InvalidArgument):
    fix = "Use one of the methods in the Allow header."
    allow: str = ""


class RoleMissing(PermissionDenied):
    fix = "Ask for a role that has the permission which this operation needs."


class Stopping(Unavailable):
    """The process ends before the request did, and what it had started may have happened; or its health was asked."""

    fix = "Send the same request again after Retry-After, with the same idempotency key."


class ServiceUnreachable(Unresolved):
    """The edge got no answer from the service."""

    fix = "What was asked may have happened: ask for its status, or send it again with the same idempotency key."


class ServiceTimedOut(Unresolved):
    """The edge waited for the request or its answer for as long as it waits."""

    fix = "What was asked may have happened: ask for its status, or send it again with the same idempotency key."


HTTP_STATUS: dict[type[DomainError], int] = {
    InvalidArgument: 400,
    NotFound: 404,
    FailedPrecondition: 409,
    Conflict: 409,
    KeyReused: 422,
    Unauthenticated: 401,
    PermissionDenied: 403,
    ResourceExhausted: 429,
    Unavailable: 503,
    TooLarge: 413,
    Unresolved: 202,
}
assert HTTP_STATUS.keys() == set(KINDS), "every kind of error needs an HTTP status"

# The errors of HTTP itself that have a status of their own.
_TRANSPORT_STATUS: dict[type[DomainError], int] = {
    UnsupportedMediaType: 415,
    MethodNotAllowed: 405,
    BodyTooSlow: 408,
    ServiceUnreachable: 502,
    ServiceTimedOut: 504,
}


def status_of(error: DomainError) -> int:
    """The HTTP status of *error*, by the nearest class that has one."""
    return next(status for cls in type(error).__mro__ if (status := _TRANSPORT_STATUS.get(cls) or HTTP_STATUS.get(cls)))


def error_response(error: DomainError, request_id: str) -> EncodedResponse:
    """`{"success": false, "error": {code, message, fields?, requestId}}`, with Retry-After where waiting helps."""
    described: dict[str, object] = {"code": error.code, "message": error.message or error.fix}
    if error.fields:
        described["fields"] = error.fields
    described["requestId"] = request_id
    headers = {}
    if (seconds := getattr(error, "retry_after_seconds", None)) is not None:
        headers["retry-after"] = str(seconds)
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allow
    if isinstance(error, ContentEncodingUnsupported):
        headers["accept-encoding"] = "identity"
    if isinstance(error, TooLarge | BodyTooSlow | RequestMalformed):
        headers["connection"] = "close"  # the rest of the body is not worth reading
    return EncodedResponse(encode({"success": False, "error": described}), status_of(error), headers)


def internal_error_response(request_id: str) -> EncodedResponse:
    """A bug: no text of it leaves the house."""
    described = {
        "code": "internal_error",
        "message": "Something went wrong on our side; give support the request id.",
        "requestId": request_id,
    }
    return EncodedResponse(encode({"success": False, "error": described}), 500)
