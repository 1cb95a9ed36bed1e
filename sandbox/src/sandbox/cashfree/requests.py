"""Request bodies, checked field by field in the order in which Cashfree reports errors."""

import re
from typing import Any

import msgspec

from sandbox.cashfree import errors
from sandbox.clock import seconds_of
from sandbox.money import JSON, paise_of, shortest

_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{3,45}")
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_-]{3,50}")
_PHONE = re.compile(r"[0-9]{10}|\+[0-9]{8,15}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_REFUND_ID = re.compile(r"[A-Za-z0-9_]{3,40}")

_CURRENCIES = frozenset({"INR", "USD", "EUR", "GBP", "AED", "SGD"})  # all of two decimals
_METHODS = frozenset(
    (
        "cc",
        "dc",
        "ccc",
        "ppc",
        "nb",
        "upi",
        "paypal",
        "app",
        "paylater",
        "cardlessemi",
        "dcemi",
        "ccemi",
        "banktransfer",
    )
)
_AMOUNT_MIN_PAISE, _AMOUNT_MAX_PAISE = 100, 100_000_000
_EXPIRY_MIN_SECONDS, _EXPIRY_MAX_SECONDS = 15 * 60, 30 * 24 * 3600
_URL_LENGTH_MAX = 250
_TAGS_MAX, _TAG_LENGTH_MAX = 15, 255


class NewOrder(msgspec.Struct, frozen=True):
    """A create-order request that passed every check."""

    order_id: str | None
    amount_paise: int
    currency: str
    customer: dict[str, str | None]
    meta: dict[str, Any]
    expires_at: int
    note: str | None
    tags: dict[str, str] | None
    splits: list[Any]


class NewRefund(msgspec.Struct, frozen=True):
    """A create-refund request that passed every check that needs no order."""

    refund_id: str
    amount_paise: int
    note: str | None
    speed: str


def json_object(body: bytes) -> dict[str, Any]:
    """The body as an object; raises Refused."""
    try:
        payload = JSON.decode(body)
    except msgspec.DecodeError as problem:
        raise errors.bad_body() from problem
    if not isinstance(payload, dict):
        raise errors.bad_body()
    return payload


def new_order(payload: dict[str, Any], now: int) -> NewOrder:
    """Read a create-order request; raises Refused with the first rule that it breaks."""
    order_id = payload.get("order_id")
    if order_id is not None and not _matches(_ORDER_ID, order_id):
        raise errors.invalid("order_id", "should be 3 to 45 characters of letters, digits, - and _", order_id)
    amount_paise = _amount("order_amount", payload)
    if not _AMOUNT_MIN_PAISE <= amount_paise <= _AMOUNT_MAX_PAISE:
        raise errors.invalid("order_amount", "should be from 1 to 1000000", shortest(amount_paise))
    currency = payload.get("order_currency") or "INR"
    if currency not in _CURRENCIES:
        raise errors.invalid("order_currency", "is not enabled", currency)
    return NewOrder(
        order_id=order_id,
        amount_paise=amount_paise,
        currency=currency,
        customer=_customer(payload.get("customer_details")),
        meta=_meta(payload.get("order_meta")),
        expires_at=_expiry(payload.get("order_expiry_time"), now),
        note=_text("order_note", payload.get("order_note"), 3, 200),
        tags=_tags(payload.get("order_tags")),
        splits=payload.get("order_splits") or [],
    )


def new_refund(payload: dict[str, Any]) -> NewRefund:
    """Read a create-refund request; raises Refused."""
    refund_id = payload.get("refund_id")
    if not refund_id:
        raise errors.missing("refund_id")
    if not _matches(_REFUND_ID, refund_id):
        raise errors.refund_id_malformed()
    amount_paise = _amount("refund_amount", payload)
    if amount_paise <= 0:
        raise errors.invalid("refund_amount", "should be greater than 0", shortest(amount_paise))
    speed = payload.get("refund_speed") or "STANDARD"
    if speed not in ("STANDARD", "INSTANT"):
        raise errors.invalid("refund_speed", "should be STANDARD or INSTANT", speed)
    return NewRefund(refund_id, amount_paise, _text("refund_note", payload.get("refund_note"), 3, 100), speed)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _amount(field: str, payload: dict[str, Any]) -> int:
    value = payload.get(field)
    if value is None:
        raise errors.missing(field)
    paise = paise_of(value)
    if paise is None:
        raise errors.invalid(field, "should be a number of at most two decimals", value)
    return paise


def _text(field: str, value: Any, shortest_length: int, longest: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not shortest_length <= len(value) <= longest:
        raise errors.invalid(field, f"should be {shortest_length} to {longest} characters", value)
    return value


def _customer(details: Any) -> dict[str, str | None]:
    if not isinstance(details, dict):
        raise errors.missing("customer_details")
    customer_id, phone, email = (details.get(f"customer_{name}") for name in ("id", "phone", "email"))
    if not customer_id:
        raise errors.missing("customer_id")
    if not _matches(_CUSTOMER_ID, customer_id):
        raise errors.invalid("customer_id", "should be alphanumeric, 3 to 50 characters", customer_id)
    if not phone:
        raise errors.missing("customer_phone")
    if not _matches(_PHONE, phone):
        raise errors.invalid("customer_phone", "should be 10 digits", phone)
    if email is not None and not (_matches(_EMAIL, email) and len(email) <= 100):
        raise errors.invalid("customer_email", "is not an e-mail address", email)
    return {
        "customer_id": customer_id,
        "customer_name": _text("customer_name", details.get("customer_name"), 3, 100),
        "customer_email": email,
        "customer_phone": phone,
        "customer_uid": None,
    }


def _meta(meta: Any) -> dict[str, Any]:
    if meta is None:
        meta = {}
    if not isinstance(meta, dict):
        raise errors.invalid("order_meta", "should be an object", meta)
    for field in ("return_url", "notify_url"):
        url = meta.get(field)
        if url is None:
            continue
        # Real Cashfree wants https in production; its sandbox takes http, and so does this one.
        if not isinstance(url, str) or len(url) > _URL_LENGTH_MAX or not url.startswith(("http://", "https://")):
            raise errors.invalid(f"order_meta.{field}", f"should be a URL of at most {_URL_LENGTH_MAX} characters", url)
    methods = meta.get("payment_methods")
    if isinstance(methods, str) and not {part.strip() for part in methods.split(",")} <= _METHODS:
        raise errors.invalid("order_meta.payment_methods", "names an unknown method", methods)
    return {
        "return_url": meta.get("return_url"),
        "notify_url": meta.get("notify_url"),
        "payment_methods": methods,
        "payment_methods_filters": meta.get("payment_methods_filters"),
    }


def _expiry(text: Any, now: int) -> int:
    if text is None:
        return now + _EXPIRY_MAX_SECONDS
    seconds = seconds_of(text) if isinstance(text, str) else None
    if seconds is None or not _EXPIRY_MIN_SECONDS < seconds - now <= _EXPIRY_MAX_SECONDS:
        raise errors.expiry_out_of_range()
    return seconds


def _tags(tags: Any) -> dict[str, str] | None:
    if tags is None:
        return None
    if not isinstance(tags, dict) or len(tags) > _TAGS_MAX:
        raise errors.invalid("order_tags", f"should be an object of at most {_TAGS_MAX} tags", tags)
    for value in tags.values():
        if not isinstance(value, str) or not 1 <= len(value) <= _TAG_LENGTH_MAX:
            raise errors.invalid("order_tags", f"values should be 1 to {_TAG_LENGTH_MAX} characters", value)
    return tags
