"""Cashfree's refusals, with its own texts where they are known."""

import msgspec

from sandbox import answers


class Refused(answers.Refused):
    """An answer other than success: its HTTP status and the three fields of Cashfree's error body."""

    def __init__(self, status: int, code: str, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.kind = kind

    def body(self) -> bytes:
        """The error body as JSON."""
        return msgspec.json.encode({"message": str(self), "code": self.code, "type": self.kind})


def missing(field: str) -> Refused:
    """A required field is absent."""
    return Refused(400, f"{field}_missing", f"{field} : is missing in the request. Value received: ")


def invalid(field: str, rule: str, value: object) -> Refused:
    """A field breaks its rule."""
    return Refused(400, f"{field}_invalid", f"{field} : {rule}. Value received: {value}")


def bad_url() -> Refused:
    return Refused(400, "request_failed", "bad URL, please check API documentation")


def bad_body() -> Refused:
    return Refused(400, "request_failed", "invalid JSON in request body")


def version_missing() -> Refused:
    return Refused(400, "request_failed", "version is missing in header")


def version_invalid(value: str) -> Refused:
    return Refused(400, "version_invalid", f"version is invalid in header. Value received: {value}")


def wrong_credentials() -> Refused:
    return Refused(401, "request_failed", "authentication Failed", "authentication_error")


def expiry_out_of_range() -> Refused:
    return Refused(
        400,
        "order_expiry_time_invalid",
        "order_expiry_time : Expiry time should be more than 15 min and less than 30 days",
    )


def order_exists() -> Refused:
    return Refused(409, "order_already_exists", "order with same id is already present")


def order_not_found() -> Refused:
    return Refused(404, "order_not_found", "order not found")


def payment_not_found() -> Refused:
    return Refused(404, "payment_not_found", "payment not found")


def refund_not_found() -> Refused:
    return Refused(404, "refund_get_not_found", "refund not found")


def dispute_not_found() -> Refused:
    return Refused(404, "dispute_request_not_found", "dispute not found")


def settlement_not_found() -> Refused:
    return Refused(404, "settlement_get_not_found", "settlement not found")


def dispute_closed() -> Refused:
    return Refused(400, "dispute_request_invalid", "dispute is already closed")


def order_inactive() -> Refused:
    return Refused(400, "order_inactive", "order is no longer active")


def order_paid() -> Refused:
    return Refused(400, "order_already_paid", "order is already paid")


def session_invalid() -> Refused:
    return Refused(
        400, "payment_session_id_invalid", "payment_session_id is not present or is invalid", "request_failed"
    )


def upi_id_invalid() -> Refused:
    return Refused(400, "upi_id_invalid", "Invalid UPI ID entered")


def card_number_invalid() -> Refused:
    return Refused(400, "card_number_invalid", "card_number : is invalid")


def payment_method_invalid() -> Refused:
    return Refused(400, "payment_method_invalid", "payment_method : one supported payment method is needed")


def not_paid() -> Refused:
    return Refused(400, "order_id_not_paid", "transaction not found")


def refund_repeated() -> Refused:
    return Refused(400, "refund_id_invalid", "Duplicate Merchant Refund Id")


def refund_id_malformed() -> Refused:
    return Refused(400, "refund_id_invalid", "refund_id format not valid")


def refund_too_large() -> Refused:
    return Refused(400, "refund_post_failed", "Total amount of Refunds cannot be greater than the transaction amount.")


def refund_final() -> Refused:
    return Refused(400, "refund_invalid", "refund is already processed")


def idempotency_mismatch() -> Refused:
    return Refused(422, "request_invalid", "invalid body in request for x-idempotency-key", "idempotency_error")


def too_many_requests() -> Refused:
    return Refused(429, "request_failed", "Too many requests from IP. Check headers", "rate_limit_error")


def broken(status: int) -> Refused:
    """A failure on the gateway's side, as injected by a fault."""
    if status == 502:
        return Refused(502, "bank_processing_failure", "bank processing failure", "api_error")
    if status == 429:
        return too_many_requests()
    return Refused(status, "internal_error", "internal Server Error", "api_error")
