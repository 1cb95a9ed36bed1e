"""JSON requests → what the use cases take. Shapes and lengths are checked here, rules in the domain."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from common import contacts, idempotency, names, pages
from common.context import Context
from common.errors import RequestInvalid
from common.http_server import Body
from common.pages import PageQuery
from common.seals import DEVICE, EMAIL, IP, NAME, PHONE, USER_AGENT, Sealer
from common.tokens import Caller
from gateways import REQUESTABLE_METHODS, Customer
from payment.domain import metadata, return_urls
from payment.domain.history import HistoryFilter
from payment.domain.metadata import Metadata
from payment.domain.orders import CheckoutProof
from payment.domain.payments import Origin
from payment.domain.purchases import Purchase
from payment.domain.return_urls import ReturnUrlPolicy
from payment.domain.states import Status

# Postgres stores no NUL in a text.
_NO_NUL = r"^[^\x00]*$"
Short = Annotated[str, Meta(max_length=64, pattern=_NO_NUL)]
Name = Annotated[str, Meta(max_length=names.LENGTH_MAX, pattern=_NO_NUL)]
Text = Annotated[str, Meta(max_length=200, pattern=_NO_NUL)]
Url = Annotated[str, Meta(max_length=return_urls.LENGTH_MAX, pattern=_NO_NUL)]
# 64 hexadecimal digits, and ids of some twenty characters.
Proof = Annotated[str, Meta(max_length=128, pattern=_NO_NUL)]
Device = Annotated[str, Meta(max_length=128, pattern=_NO_NUL)]
Moment = Annotated[datetime, Meta(tz=True)]

SKIP_MAX = 10_000
DEVICE_LENGTH_MAX, USER_AGENT_LENGTH_MAX = 128, 256

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
    metadata: Metadata | None = None
    payment_method: Short | None = None
    device_id: Device | None = None
    idempotency_key: str | None = None
    provider_id: Short | None = None
    service_type: Short | None = None
    place_of_supply: str | None = None


class VerifyBody(Body, frozen=True):
    """POST /payments/verify: any id of the payment, and what Razorpay's checkout handed to the browser, if it did."""

    payment_id: str | None = None
    order_id: str | None = None
    reference_id: str | None = None
    razorpay_order_id: Proof | None = None
    razorpay_payment_id: Proof | None = None
    razorpay_signature: Proof | None = None


class _HistoryPage(PageQuery, frozen=True):
    status: str | None = None
    gateway: Short | None = None
    from_: Moment | None = msgspec.field(default=None, name="from")
    to: Moment | None = None


class HistoryQuery(_HistoryPage, frozen=True):
    """GET /payments/history."""

    user_id: Short | None = None


class UserHistoryQuery(_HistoryPage, frozen=True):
    """GET /payments/history/{userId}. `count` and `skip` are the older form of `limit` and `cursor`."""

    count: Annotated[int, Meta(ge=1, le=pages.LIMIT_MAX)] | None = None
    skip: Annotated[int, Meta(ge=0, le=SKIP_MAX)] = 0


class CustomerRules(msgspec.Struct, frozen=True):
    """What this installation takes from and about customers."""

    return_urls: ReturnUrlPolicy
    # Addresses under .test are taken for addresses: everywhere but in production.
    test_domains: bool
    # The country codes of the numbers that the gateway takes, such as +91; none stands for all.
    phone_country_codes: tuple[str, ...] = ()


class ParsedCreate(msgspec.Struct, frozen=True):
    """A create request: what is bought, and the fingerprint of the request under its idempotency key."""

    purchase: Purchase
    fingerprint: bytes


class ParsedVerify(msgspec.Struct, frozen=True):
    """A verify request: the payment's id, and the proof of the checkout."""

    reference: str
    proof: CheckoutProof | None


def idempotency_key(body: CreateBody, header: str) -> str:
    """The key from header or body; "" without one. Raises when they differ or cannot be keys."""
    if body.idempotency_key is None:
        return header
    key = idempotency.validated(body.idempotency_key)
    if header not in ("", key):
        raise RequestInvalid("two keys are sent", idempotencyKey="differs from the header Idempotency-Key")
    return key


def parse_create(
    body: CreateBody,
    caller: Caller,
    context: Context,
    sealer: Sealer,
    *,
    key: str,
    device_id: str,
    rules: CustomerRules,
) -> ParsedCreate:
    """What the caller wants to buy, personal data sealed. Raises RequestInvalid with every field that is wrong."""
    problems: dict[str, str] = {}
    account = _account_customer(caller, rules)
    customer = _customer(body, account, rules, problems)
    wrong = {
        "currency": _CURRENCY.fullmatch(body.currency) is None and "must be a code like INR",
        "returnUrl": body.return_url is not None and rules.return_urls.problem(body.return_url),
        "paymentMethod": body.payment_method is not None
        and body.payment_method not in REQUESTABLE_METHODS
        and f"must be one of {', '.join(sorted(REQUESTABLE_METHODS))}",
        "placeOfSupply": body.place_of_supply is not None
        and _STATE.fullmatch(body.place_of_supply) is None
        and "must be a GST state code of two digits, such as 29",
        "description": body.description is not None
        and not names.is_line(body.description)
        and "has a character that cannot be shown",
        "metadata": metadata.problem(body.metadata or {}),
    }
    problems |= {field: str(problem) for field, problem in wrong.items() if problem}
    if problems:
        raise RequestInvalid("the request has fields that are wrong", **problems)
    purchase = Purchase(
        merchant_id=caller.merchant_id,
        user_id=payer_id(caller),
        pack_id=body.pack_id or "",
        amount_minor=body.amount,
        currency=body.currency,
        order_id=body.order_id or "",
        customer=_sealed(customer, sealer),
        # A token says what was entered at sign-up: until it is verified, it may be a stranger's.
        is_account_email=caller.is_email_verified and bool(account.email) and customer.email == account.email,
        phone_problem=_phone_problem(body, caller, customer.phone, rules),
        buys_credits=not caller.api_key_id,
        origin=origin(caller, context, sealer, body.device_id or device_id[:DEVICE_LENGTH_MAX]),
        place_of_supply=body.place_of_supply or "",
        description=body.description or "",
        metadata=body.metadata or {},
        provider_id=body.provider_id or "",
        service_type=body.service_type or "",
        method_hint=body.payment_method or "",
        return_url=body.return_url or "",
        idempotency_key=key,
    )
    return ParsedCreate(purchase, _fingerprint(body, caller) if key else b"")


def _fingerprint(body: CreateBody, caller: Caller) -> bytes:
    request = msgspec.structs.replace(body, idempotency_key=None)
    return idempotency.fingerprint(caller.merchant_id, payer_id(caller), request)


def payer_id(caller: Caller) -> str:
    """Whose payment it is: the member's, or the merchant's own when its server asks by API key."""
    return caller.user_id or caller.merchant_id


def origin(caller: Caller, context: Context, sealer: Sealer, device_id: str = "") -> Origin:
    """Where a request comes from, for the audit log; address, device and agent sealed."""
    return Origin(
        actor_id=caller.actor_id,
        ip=sealer.seal(IP, context.ip),
        device_id=sealer.seal(DEVICE, device_id),
        user_agent=sealer.seal(USER_AGENT, context.user_agent[:USER_AGENT_LENGTH_MAX]),
        request_id=context.request_id,
        trace_id=context.trace_id,
        correlation_id=context.correlation_id,
    )


def _phone_problem(body: CreateBody, caller: Caller, phone: str, rules: CustomerRules) -> str:
    """Why the gateway cannot be given *phone* as the customer's number, "" when it can; none is ever invented."""
    codes = rules.phone_country_codes
    if phone and codes and not phone.startswith(codes):
        return f"must begin with {' or '.join(codes)}: the gateway takes no other numbers"
    if not phone and caller.phone and body.customer_phone is None:
        return "is required: the number of your account cannot be read"
    return "" if phone else "is required"


def _account_customer(caller: Caller, rules: CustomerRules) -> Customer:
    """What the caller's token says of the account; its mistakes are not this request's: they are left out."""
    unread: dict[str, str] = {}
    return Customer(
        _read(unread, contacts.email_address, caller.email, test_domains=rules.test_domains),
        _read(unread, contacts.phone_number, caller.phone),
        names.shown_name(caller.name),
    )


def _sealed(customer: Customer, sealer: Sealer) -> Customer:
    return Customer(
        sealer.seal(EMAIL, customer.email), sealer.seal(PHONE, customer.phone), sealer.seal(NAME, customer.name)
    )


def _customer(body: CreateBody, account: Customer, rules: CustomerRules, problems: dict[str, str]) -> Customer:
    """What the request says, else what the account says."""
    email, phone, name = body.customer_email, body.customer_phone, body.customer_name
    return Customer(
        account.email
        if email is None
        else _read(problems, contacts.email_address, email, field="customerEmail", test_domains=rules.test_domains),
        account.phone if phone is None else _read(problems, contacts.phone_number, phone, field="customerPhone"),
        account.name if name is None else _read(problems, names.person_name, name, field="customerName"),
    )


def _read(problems: dict[str, str], parse: Callable[..., str], text: str, **how: Any) -> str:
    """*text* as *parse* reads it; what is empty is not given, what cannot be read goes to *problems*."""
    if not text:
        return ""
    try:
        return parse(text, **how)
    except RequestInvalid as error:
        problems |= error.fields
        return ""


def parse_verify(body: VerifyBody) -> ParsedVerify:
    """The one id that a verify request is about, and the checkout's proof, which is whole or absent."""
    proof = (body.razorpay_order_id, body.razorpay_payment_id, body.razorpay_signature)
    names = ("razorpayOrderId", "razorpayPaymentId", "razorpaySignature")
    missing = [name for name, value in zip(names, proof, strict=True) if not value]
    if any(proof) and missing:
        raise RequestInvalid("the proof of the checkout is not whole", **dict.fromkeys(missing, "is required"))
    references = [reference for reference in (body.payment_id, body.order_id, body.reference_id) if reference]
    if not references:
        raise RequestInvalid("send paymentId, orderId or referenceId", referenceId="is required")
    return ParsedVerify(references[0], CheckoutProof(*(value or "" for value in proof)) if any(proof) else None)


def history_filter(query: HistoryQuery, caller: Caller) -> HistoryFilter:
    return _filter(query, query.user_id or caller.user_id, query.limit, 0)


def user_history_filter(query: UserHistoryQuery, user_id: str) -> HistoryFilter:
    return _filter(query, user_id, query.count or query.limit, query.skip)


def _filter(query: _HistoryPage, user_id: str, limit: int, skip: int) -> HistoryFilter:
    if query.status is not None and query.status.upper() not in Status.__members__:
        raise RequestInvalid("the request has a parameter that is wrong", status="is not a status")
    return HistoryFilter(
        user_id=user_id,
        status=Status(query.status.upper()) if query.status else None,
        gateway=query.gateway or "",
        since=query.from_,
        until=query.to,
        before=pages.decode_cursor(query.cursor, UUID)[0] if query.cursor else None,
        limit=limit,
        skip=skip,
    )
