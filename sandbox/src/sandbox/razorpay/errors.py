"""Razorpay's refusals, with its own texts where they are known."""

from typing import Any

import msgspec

from sandbox import answers

BAD_REQUEST = "BAD_REQUEST_ERROR"
_INVALID = "input_validation_failed"


class Refused(answers.Refused):
    """An answer other than success: its HTTP status and the members of Razorpay's error object."""

    def __init__(self, status: int, description: str, code: str = BAD_REQUEST, **members: Any) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.reason = str(members.get("reason", code))
        self._members = members

    def body(self) -> bytes:
        """The error body as JSON."""
        return msgspec.json.encode({"error": {"code": self.code, "description": str(self), **self._members}})


def refused(
    description: str, *, reason: str = _INVALID, step: str = "payment_initiation", field: str | None = None
) -> Refused:
    """A request that breaks a rule: 400, the merchant's fault."""
    members: dict[str, Any] = {"source": "business", "step": step, "reason": reason, "metadata": {}}
    return Refused(400, description, **members, **({} if field is None else {"field": field}))


def _not_applicable(status: int, description: str) -> Refused:
    return Refused(status, description, source="NA", step="NA", reason="NA", metadata={})


def bad_url() -> Refused:
    return _not_applicable(400, "The requested URL was not found on the server.")


def bad_body() -> Refused:
    return refused("The request body is not a JSON object.")


def credentials_missing() -> Refused:
    return Refused(401, "Please provide your api key for authentication purposes")


def wrong_credentials() -> Refused:
    return Refused(401, "Authentication failed")


def missing(field: str) -> Refused:
    return refused(f"{field}: is required.", field=field)


def extra_fields(names: list[str]) -> Refused:
    return refused(f"{', '.join(names)} is/are not required and should not be sent", reason="extra_field_sent")


def invalid(field: str, description: str) -> Refused:
    return refused(description, field=field)


def not_an_integer() -> Refused:
    return refused("The amount must be an integer.", field="amount")


def amount_too_small() -> Refused:
    return refused(
        "Order amount less than minimum amount allowed",
        reason="amount_less_than_minimum_amount",
        step="order_creation",
        field="amount",
    )


def unknown_id() -> Refused:
    return refused("The id provided does not exist")


def malformed_id(text: str) -> Refused:
    return refused(f"{text} is not a valid id")


def receipt_repeated() -> Refused:
    return refused("Order receipt should be unique.", step="order_creation", field="receipt")


def order_paid() -> Refused:
    return refused(
        "Your payment has been declined as the order is already paid. Please initiate the payment with a new order.",
        reason="order_already_paid",
    )


def payment_authorized_already() -> Refused:
    return refused(
        "Payment processing failed because a payment of this order is authorized already.",
        reason="order_payment_authorized",
    )


def capture_amount_differs() -> Refused:
    return refused("Capture amount must be equal to the amount authorized.", step="payment_capture", field="amount")


def capture_currency_differs() -> Refused:
    return refused("The currency must be the one of the payment.", step="payment_capture", field="currency")


def not_capturable() -> Refused:
    return refused(
        "Only payments which have been authorized and not yet captured can be captured", step="payment_capture"
    )


def not_refundable() -> Refused:
    return refused("The payment status should be captured for action to be taken", step="refund_request")


def refund_too_large() -> Refused:
    return refused("The refund amount provided is greater than amount captured.", step="refund_request", field="amount")


def fully_refunded() -> Refused:
    return refused("The payment has been fully refunded already.", step="refund_request")


def refund_too_small() -> Refused:
    return refused("The amount must be at least INR 1.00", step="refund_request", field="amount")


def dispute_closed() -> Refused:
    return refused("The dispute is closed: no action is possible.", step="NA")


def payment_method_invalid() -> Refused:
    return refused("The selected method is invalid.", field="method")


def vpa_invalid() -> Refused:
    return refused("Invalid VPA. Please enter a valid Virtual Payment Address", reason="invalid_vpa", field="vpa")


def card_number_invalid() -> Refused:
    return refused("The card number is invalid.", reason="card_number_invalid", field="card.number")


def idempotency_key_invalid() -> Refused:
    return _not_applicable(400, "The idempotency key has at least 10 letters, digits, hyphens and underscores.")


def idempotency_mismatch() -> Refused:
    return _not_applicable(409, "Different request with the same idempotency key has already been processed.")


def still_in_progress() -> Refused:
    return _not_applicable(409, "Another request with the same idempotency key is still in progress.")


def too_many_requests() -> Refused:
    return Refused(429, "Request failed. Please try after sometime.")


def broken(status: int) -> Refused:
    """A failure on the gateway's side, as injected by a fault."""
    if status == 429:
        return too_many_requests()
    code = "GATEWAY_ERROR" if status in (502, 504) else "SERVER_ERROR"
    return Refused(
        status,
        "We are facing some trouble completing your request at the moment. Please try again shortly.",
        code,
        source="internal",
        step="payment_initiation",
        reason="server_error",
        metadata={},
    )
