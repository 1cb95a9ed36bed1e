"""Request bodies and queries, checked as Razorpay does."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sandbox.razorpay import errors
from sandbox.razorpay.accounts import Account
from sandbox.razorpay.domain import Capture, Notes

MINUTES_MAX = 7_200
_MINUTES_MIN = 12
_AMOUNT_MIN, _AMOUNT_MAX = 100, 10_000_000_000
_CURRENCIES = frozenset({"INR", "USD", "EUR", "GBP", "AED", "SGD"})  # all of two decimals
_RECEIPT_MAX = 40
_NOTES_MAX, _NOTE_LENGTH_MAX = 15, 256
# Also what this simulator takes without effect.
_ORDER_FIELDS = frozenset(
    (
        "amount",
        "currency",
        "receipt",
        "unique_receipt",
        "notes",
        "payment_capture",
        "payment",
        "partial_payment",
        "first_payment_min_amount",
        "method",
        "bank_account",
        "offer_id",
        "offers",
        "customer_id",
        "transfers",
        "token",
        "customer_details",
        "checkout_config_id",
        "force_offer",
        "line_items",
        "line_items_total",
        "description",
        "app_offer",
        "discount",
    )
)
_EPOCH_MIN, _EPOCH_MAX = 946_684_800, 4_765_046_400
COUNT_DEFAULT, COUNT_MAX, RECON_COUNT_MAX = 10, 100, 1_000


class NewOrder(msgspec.Struct, frozen=True):
    """A create-order request that passed every check."""

    amount: int
    currency: str
    receipt: str | None
    is_unique: bool
    notes: Notes
    capture: Capture


class NewRefund(msgspec.Struct, frozen=True):
    """A refund request that passed every check that needs no payment. Without an amount: all that is left."""

    amount: int | None
    speed: str
    notes: Notes
    receipt: str | None


class Page(msgspec.Struct, frozen=True):
    """Which part of a list, newest first."""

    start: int
    end: int
    count: int
    skip: int


def json_object(body: bytes) -> dict[str, Any]:
    """The body as an object, none as an empty one; raises Refused."""
    try:
        payload = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as problem:
        raise errors.bad_body() from problem
    if payload == [] or payload is None:
        return {}
    if not isinstance(payload, dict):
        raise errors.bad_body()
    return payload


def new_order(payload: dict[str, Any], account: Account) -> NewOrder:
    """Read a create-order request; raises Refused with the first rule that it breaks."""
    extra = sorted(set(payload) - _ORDER_FIELDS)
    if extra:
        raise errors.extra_fields(extra)
    amount = amount_in(payload)
    if amount is None:
        raise errors.missing("amount")
    if amount < _AMOUNT_MIN:
        raise errors.amount_too_small()
    if amount > _AMOUNT_MAX:
        raise errors.invalid("amount", "Amount exceeds maximum amount allowed.")
    currency = _text("currency", payload.get("currency"))
    if currency is None:
        raise errors.missing("currency")
    if currency not in _CURRENCIES:
        raise errors.invalid("currency", "Currency is not supported")
    if payload.get("partial_payment"):
        raise errors.invalid("partial_payment", "Partial payment is not enabled for the merchant.")
    return NewOrder(
        amount=amount,
        currency=currency,
        receipt=receipt_in(payload),
        is_unique=payload.get("unique_receipt") is True,
        notes=notes_in(payload),
        capture=_capture(payload, account),
    )


def new_refund(payload: dict[str, Any]) -> NewRefund:
    """Read a refund request; raises Refused."""
    amount = amount_in(payload)
    if amount is not None and amount < _AMOUNT_MIN:
        raise errors.refund_too_small()
    speed = payload.get("speed") or "normal"
    if speed not in ("normal", "optimum"):
        raise errors.invalid("speed", "The selected speed is invalid.")
    return NewRefund(amount, str(speed), notes_in(payload), receipt_in(payload))


def amount_in(payload: dict[str, Any]) -> int | None:
    """The amount in minor units, None without one; raises Refused."""
    amount = payload.get("amount")
    if amount is None:
        return None
    if isinstance(amount, str) and amount.isascii() and amount.isdecimal():
        amount = int(amount)
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise errors.not_an_integer()
    return amount


def receipt_in(payload: dict[str, Any]) -> str | None:
    """The merchant's own reference; raises Refused."""
    receipt = _text("receipt", payload.get("receipt"))
    if receipt is not None and len(receipt) > _RECEIPT_MAX:
        raise errors.invalid("receipt", f"The receipt may not be greater than {_RECEIPT_MAX} characters.")
    return receipt or None


def notes_in(payload: dict[str, Any]) -> Notes:
    """The notes; raises Refused."""
    notes = payload.get("notes") or {}
    if not isinstance(notes, dict):
        raise errors.invalid("notes", "The notes must be an array of pairs.")
    if len(notes) > _NOTES_MAX:
        raise errors.invalid("notes", f"The notes may not have more than {_NOTES_MAX} pairs.")
    for value in notes.values():
        if isinstance(value, dict | list) or len(str(value)) > _NOTE_LENGTH_MAX:
            raise errors.invalid("notes", f"A note may not be greater than {_NOTE_LENGTH_MAX} characters.")
    return notes


def page(query: Mapping[str, str], count_max: int = COUNT_MAX) -> Page:
    """The part of a list that a query asks for; raises Refused."""
    start = number(query, "from", _EPOCH_MIN, _EPOCH_MIN, _EPOCH_MAX)
    end = number(query, "to", _EPOCH_MAX, _EPOCH_MIN, _EPOCH_MAX)
    return Page(
        0 if start == _EPOCH_MIN else start,
        end,
        number(query, "count", COUNT_DEFAULT, 1, count_max),
        number(query, "skip", 0, 0, _EPOCH_MAX),
    )


def number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number of a query; raises Refused."""
    text = query.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
        raise errors.invalid(name, f"{name} must be between {least} and {most}.")
    return int(text)


def _capture(payload: dict[str, Any], account: Account) -> Capture:
    is_automatic = account.captures_automatically
    if "payment_capture" in payload:
        is_automatic = str(payload["payment_capture"]).lower() in ("1", "true")
    payment = payload.get("payment")
    if payment is None:
        return Capture(is_automatic, MINUTES_MAX, MINUTES_MAX)
    if not isinstance(payment, dict) or payment.get("capture") not in ("automatic", "manual"):
        raise errors.invalid("payment.capture", "The selected payment.capture is invalid.")
    is_automatic = payment["capture"] == "automatic"
    options = payment.get("capture_options") or {}
    if not isinstance(options, dict):
        raise errors.invalid("payment.capture_options", "The payment.capture_options must be an array.")
    if options and options.get("refund_speed") not in ("normal", "optimum"):
        raise errors.missing("payment.capture_options.refund_speed")
    if options and is_automatic and "automatic_expiry_period" not in options:
        raise errors.missing("payment.capture_options.automatic_expiry_period")
    automatic = _minutes(options, "automatic_expiry_period", MINUTES_MAX, _MINUTES_MIN)
    least = automatic if "automatic_expiry_period" in options else _MINUTES_MIN
    return Capture(is_automatic, automatic, _minutes(options, "manual_expiry_period", MINUTES_MAX, least))


def _minutes(options: dict[str, Any], name: str, default: int, least: int) -> int:
    value = options.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MINUTES_MAX:
        raise errors.invalid(
            f"payment.capture_options.{name}", f"The {name} must be between {least} and {MINUTES_MAX} minutes."
        )
    return value


def _text(field: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise errors.invalid(field, f"{field}: expected string but provided {value}")
