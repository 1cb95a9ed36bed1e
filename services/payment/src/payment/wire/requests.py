"""JSON requests → what the use cases take. Shapes and lengths are checked here, rules in the domain."""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from common import idempotency, ids
from common.context import Context
from common.http_server import Body, InvalidRequest
from common.tokens import Caller
from payment.domain import Customer, FieldInvalid, GatewayUnsupported, Origin, Purchase, Status
from payment.store import Filters

# Postgres keeps no NUL in a text, and nobody means one.
_NO_NUL = r"^[^\x00]*$"
Short = Annotated[str, Meta(max_length=64, pattern=_NO_NUL)]
Name = Annotated[str, Meta(max_length=100, pattern=_NO_NUL)]
Text = Annotated[str, Meta(max_length=200, pattern=_NO_NUL)]
Url = Annotated[str, Meta(max_length=250, pattern=_NO_NUL)]
Device = Annotated[str, Meta(max_length=128, pattern=_NO_NUL)]

METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_TEXT_MAX = 20, 40, 200
COUNT_MAX, SKIP_MAX = 100, 10_000

# What an address, a number and an URL must look like before we hand them to a gateway.
_EMAIL = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\"]{1,64}\.[A-Za-z0-9-]{2,24}")
_PHONE = re.compile(r"(?:\+91|91|0)?([6-9][0-9]{9})")
_RETURN_URL = re.compile(r"(?:https://[^\s/]+|http://(?:localhost|127\.0\.0\.1)(?::[0-9]{1,5})?)(?:[/?#][^\s]*)?")
_STATE = re.compile(r"[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")


class CreateBody(Body, frozen=True):
    """POST /payments. Either packId or amount (paise)."""

    pack_id: Short | None = None
    amount: int | None = None
    currency: str = "INR"
    order_id: str | None = None
    customer_email: str | None = None
    customer_phone: str | None = None
    customer_name: Name | None = None
    return_url: Url | None = None
    description: Text | None = None
    metadata: dict[str, str | int | bool] | None = None
    payment_method: Short | None = None
    device_id: Device | None = None
    idempotency_key: str | None = None
    provider_id: Short | None = None
    service_type: Short | None = None
    place_of_supply: str | None = None


class VerifyBody(Body, frozen=True):
    """POST /payments/verify: any id of the payment."""

    payment_id: str | None = None
    order_id: str | None = None
    reference_id: str | None = None
    # What the older Razorpay clients send.
    razorpay_order_id: str | None = None
    razorpay_payment_id: str | None = None
    razorpay_signature: str | None = None


class HistoryQuery(Body, frozen=True):
    """GET /payments/history. `cursor` goes on after a page; `count` and `skip` are the older form."""

    status: str | None = None
    gateway: Short | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    user_id: Short | None = None
    cursor: str | None = None
    limit: int | None = None
    count: int | None = None
    skip: int | None = None


class Unscored(msgspec.Struct, frozen=True):
    """A create request as it came: the purchase, its key's fingerprint."""

    purchase: Purchase
    fingerprint: bytes


def idempotency_key(body: CreateBody, header: str | None) -> str:
    """The key from header or body; "" without one. Raises when they differ or cannot be keys."""
    given = {key for key in (header, body.idempotency_key) if key is not None}
    if len(given) > 1:
        raise FieldInvalid(idempotencyKey="differs from the header Idempotency-Key")
    return idempotency.validated(given.pop()) if given else ""


def purchase(
    body: CreateBody,
    caller: Caller,
    now: Context,
    *,
    key: str,
    device_id: str,
    phone_fallback: str,
    method_hints: frozenset[str],
) -> Unscored:
    """What the caller wants to buy. Raises FieldInvalid with every field that is wrong."""
    email = body.customer_email
    if email is None:
        # What stands in a profile is not the caller's mistake: it is left out where it is of no use.
        email = caller.email if _EMAIL.fullmatch(caller.email) else ""
    number = _number(body.customer_phone) if body.customer_phone is not None else _number(caller.phone)
    if number is None and body.customer_phone is None:
        number = _number(phone_fallback)
    wrong = {
        "currency": _CURRENCY.fullmatch(body.currency) is None and "must be a code like INR",
        "customerEmail": email != "" and _EMAIL.fullmatch(email) is None and "is not an e-mail address",
        "customerPhone": number is None and "must be an Indian mobile number of 10 digits",
        "returnUrl": body.return_url is not None
        and _RETURN_URL.fullmatch(body.return_url) is None
        and "must be https, or http on localhost",
        "paymentMethod": body.payment_method is not None
        and body.payment_method not in method_hints
        and f"must be one of {', '.join(sorted(method_hints))}",
        "placeOfSupply": body.place_of_supply is not None
        and _STATE.fullmatch(body.place_of_supply) is None
        and "must be a GST state code of two digits, such as 29",
        "metadata": _metadata_problem(body.metadata or {}),
    }
    problems = {field: str(problem) for field, problem in wrong.items() if problem}
    if problems or number is None:
        raise FieldInvalid("the request has fields that are wrong", **problems)
    wanted = Purchase(
        merchant_id=caller.merchant_id,
        user_id=caller.user_id,
        pack_id=body.pack_id or "",
        amount_minor=body.amount,
        currency=body.currency,
        order_id=body.order_id or "",
        customer=Customer(email, number, body.customer_name if body.customer_name is not None else caller.name),
        origin=origin(caller, now, body.device_id or device_id[:128]),
        place_of_supply=body.place_of_supply or "",
        description=body.description or "",
        metadata=body.metadata or {},
        provider_id=body.provider_id or "",
        service_type=body.service_type or "",
        method_hint=body.payment_method or "",
        return_url=body.return_url or "",
        idempotency_key=key,
    )
    return Unscored(
        wanted, idempotency.fingerprint(msgspec.structs.replace(body, idempotency_key=None)) if key else b""
    )


def origin(caller: Caller, now: Context, device_id: str = "") -> Origin:
    """Where a request comes from, for the audit log."""
    return Origin(caller.user_id, now.ip, device_id, now.user_agent[:256], now.request_id, now.traceparent[3:35])


def _number(phone: str) -> str | None:
    """The ten digits that an Indian gateway wants, or None."""
    match = _PHONE.fullmatch(phone.replace(" ", "").replace("-", ""))
    return match[1] if match else None


def _metadata_problem(metadata: dict[str, str | int | bool]) -> str | bool:
    if len(metadata) > METADATA_ENTRIES_MAX:
        return f"has more than {METADATA_ENTRIES_MAX} entries"
    for name, value in metadata.items():
        if not 1 <= len(name) <= METADATA_KEY_MAX or "\0" in name:
            return f"has a name that is not 1 to {METADATA_KEY_MAX} characters"
        if isinstance(value, str) and (len(value) > METADATA_TEXT_MAX or "\0" in value):
            return f"has a text that is longer than {METADATA_TEXT_MAX} characters"
    return False


def verified_reference(body: VerifyBody) -> str:
    """The one id that a verify request is about."""
    if body.razorpay_order_id or body.razorpay_payment_id or body.razorpay_signature:
        raise GatewayUnsupported(razorpayOrderId="payments through Razorpay are not enabled")
    given = [reference for reference in (body.payment_id, body.order_id, body.reference_id) if reference]
    if not given:
        raise InvalidRequest("send paymentId, orderId or referenceId", paymentId="is required")
    return given[0]


def filters(query: HistoryQuery) -> Filters:
    """The page that a history request asks for. Raises InvalidRequest with the parameter that is wrong."""
    limit = query.limit if query.limit is not None else query.count if query.count is not None else 20
    skip = query.skip or 0
    wrong = {
        "limit": not 1 <= limit <= COUNT_MAX and f"must be from 1 to {COUNT_MAX}",
        "skip": not 0 <= skip <= SKIP_MAX and f"must be from 0 to {SKIP_MAX}; use cursor to go further",
        "status": query.status is not None and query.status.upper() not in Status.__members__ and "is not a status",
    }
    problems = {field: problem for field, problem in wrong.items() if problem}
    if problems:
        raise InvalidRequest("the request has parameters that are wrong", **problems)
    return Filters(
        status=Status(query.status.upper()) if query.status else None,
        gateway=query.gateway or "",
        since=_moment("from", query.from_),
        until=_moment("to", query.to),
        before=ids.decode("pay", query.cursor) if query.cursor else None,
        limit=limit,
        skip=skip,
    )


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(**{name: "must be a time like 2026-04-01T00:00:00Z"}) from None
    if at.tzinfo is None:
        raise InvalidRequest(**{name: "needs its offset, such as Z or +05:30"})
    return at
