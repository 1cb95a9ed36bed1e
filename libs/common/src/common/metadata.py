"""What gRPC servers and clients of the fleet agree on: metadata keys, the size of a message, refusing a caller."""

from typing import Final

from common.errors import PermissionDenied

# With a call.
AUTHORIZATION: Final = "authorization"
REQUEST_ID: Final = "x-request-id"
CORRELATION_ID: Final = "x-correlation-id"
TRACEPARENT: Final = "traceparent"
USER_ID: Final = "x-user-id"
MERCHANT_ID: Final = "x-merchant-id"
IP: Final = "x-client-ip"
USER_AGENT: Final = "x-client-user-agent-bin"
# Of a call for several requests at once: their correlation ids, comma between.
LINKS: Final = "x-correlation-links"
# With an error.
ERROR_CODE: Final = "error-code"
ERROR_KIND: Final = "error-kind"
ERROR_FIELDS: Final = "error-fields-bin"
RETRY_AFTER: Final = "retry-after-seconds"

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024


class CallNotAllowed(PermissionDenied):
    """The caller is known, and the table of calls does not hold this one."""

    fix = "Add the caller to the method's row of calls in the contract."
