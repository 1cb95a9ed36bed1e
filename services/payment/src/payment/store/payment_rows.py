"""How a Payment lies in its table: one list of columns that insert, save and select come from; read by name."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from common import context, event_contexts
from common.context import Context
from common.database import Row
from common.money import Money
from gateways import Customer
from payment.domain.metadata import Metadata
from payment.domain.payments import Origin, Payment, reference_id
from payment.domain.pricing import Credits, Tax
from payment.domain.states import FraudReview, Review, Status
from payment.store.routing import encoded

_json = msgspec.json.Encoder().encode
_metadata = msgspec.json.Decoder(Metadata).decode


class _Column(msgspec.Struct, frozen=True):
    name: str
    type: str
    value: Callable[[Payment], Any]
    # Moves and facts change it; the rest is written once.
    changes: bool = False


_C = _Column
_COLUMNS: tuple[_Column, ...] = (
    _C("id", "uuid", lambda p: p.id),
    _C("merchant_id", "text", lambda p: p.merchant_id),
    _C("user_id", "text", lambda p: p.user_id),
    _C("order_id", "text", lambda p: p.order_id),
    _C("reference_id", "text", reference_id),
    _C("gateway", "text", lambda p: p.gateway),
    _C("gateway_account_id", "text", lambda p: p.gateway_account_id),
    _C("parent_order_id", "uuid", lambda p: p.parent_order_id),
    _C("routing", "text", lambda p: encoded(p.routing) if p.routing else ""),
    _C("status", "text", lambda p: p.status.value, True),
    _C("seq", "integer", lambda p: p.seq, True),
    _C("amount_minor", "bigint", lambda p: p.amount.minor),
    _C("currency", "text", lambda p: p.amount.currency),
    _C("net_minor", "bigint", lambda p: p.tax.net.minor),
    _C("cgst_minor", "bigint", lambda p: p.tax.cgst.minor),
    _C("sgst_minor", "bigint", lambda p: p.tax.sgst.minor),
    _C("igst_minor", "bigint", lambda p: p.tax.igst.minor),
    _C("platform_fee_minor", "bigint", lambda p: p.platform_fee.minor),
    _C("credits_paid", "bigint", lambda p: p.credits.paid),
    _C("credits_bonus", "bigint", lambda p: p.credits.bonus),
    _C("pack_id", "text", lambda p: p.pack_id),
    _C("pack_version", "integer", lambda p: p.pack_version),
    _C("owner_kind", "text", lambda p: p.owner_kind),
    _C("owner_id", "text", lambda p: p.owner_id),
    _C("place_of_supply", "text", lambda p: p.place_of_supply),
    _C("customer_email", "text", lambda p: p.customer.email),
    _C("customer_phone", "text", lambda p: p.customer.phone),
    _C("customer_name", "text", lambda p: p.customer.name),
    _C("is_account_email", "boolean", lambda p: p.is_account_email),
    _C("description", "text", lambda p: p.description),
    _C("metadata", "jsonb", lambda p: _json(p.metadata).decode() if p.metadata else "{}"),
    _C("provider_id", "text", lambda p: p.provider_id),
    _C("service_type", "text", lambda p: p.service_type),
    _C("method_hint", "text", lambda p: p.method_hint),
    _C("return_url", "text", lambda p: p.return_url),
    _C("idempotency_key", "text", lambda p: p.idempotency_key),
    _C("request_fingerprint", "bytea", lambda p: p.request_fingerprint),
    _C("actor_id", "text", lambda p: p.origin.actor_id),
    _C("ip", "text", lambda p: p.origin.ip),
    _C("device_id", "text", lambda p: p.origin.device_id),
    _C("user_agent", "text", lambda p: p.origin.user_agent),
    _C("request_id", "text", lambda p: p.origin.request_id),
    _C("trace_id", "text", lambda p: p.origin.trace_id),
    _C("correlation_id", "text", lambda p: p.origin.correlation_id),
    _C("fraud_score", "integer", lambda p: p.fraud_score, True),
    _C("fraud_review", "text", lambda p: p.fraud_review.value, True),
    _C("review", "text", lambda p: p.review.value, True),
    _C("review_reason", "text", lambda p: p.review_reason, True),
    _C("gateway_order_id", "text", lambda p: p.gateway_order_id, True),
    _C("gateway_payment_id", "text", lambda p: p.gateway_payment_id, True),
    _C("payment_session_id", "text", lambda p: p.session_id, True),
    _C("payment_method", "text", lambda p: p.method, True),
    _C("payment_group", "text", lambda p: p.payment_group, True),
    _C("failure_reason", "text", lambda p: p.failure_reason, True),
    _C("cancel_requested", "boolean", lambda p: p.cancel_requested, True),
    _C("webhook_verified", "boolean", lambda p: p.webhook_verified, True),
    _C("retry_count", "integer", lambda p: p.checks, True),
    _C("next_check_at", "timestamptz", lambda p: p.next_check_at, True),
    _C("created_at", "timestamptz", lambda p: p.created_at),
    _C("expires_at", "timestamptz", lambda p: p.expires_at),
    _C("paid_at", "timestamptz", lambda p: p.paid_at, True),
    _C("updated_at", "timestamptz", lambda p: p.updated_at, True),
)
_CHANGING = tuple(column for column in _COLUMNS if column.changes)

# reference_id is derived from the others, routing is read where it is shown (store.routing). metadata travels as text:
# msgspec parses it faster than the driver does.
SELECT = ", ".join(
    "cast(metadata as text) as metadata" if column.name == "metadata" else column.name
    for column in _COLUMNS
    if column.name not in ("reference_id", "routing")
)


def _unnest(columns: Sequence[_Column]) -> str:
    # No arrays of jsonb: they travel as text and are cast one by one.
    types = ", ".join(f"cast(:{c.name} as {'text' if c.type == 'jsonb' else c.type}[])" for c in columns)
    return f"unnest({types}) as row ({', '.join(c.name for c in columns)})"


INSERT = f"""
insert into payments ({", ".join(c.name for c in _COLUMNS)})
select {", ".join(f"cast({c.name} as {c.type})" if c.type == "jsonb" else c.name for c in _COLUMNS)}
from {_unnest(_COLUMNS)}
on conflict do nothing
returning id
"""

SAVE = f"""
update payments p set {", ".join(f"{c.name} = row.{c.name}" for c in _CHANGING)}
from {_unnest((_COLUMNS[0], *_CHANGING))}
where p.id = row.id
"""


def event_context(payment: Payment) -> bytes:
    """For announcements about *payment*, which one request made and others, webhooks mostly, move on: that one's ids,
    and the trace of the present work.
    """
    origin = payment.origin
    return event_contexts.serialised(
        Context(
            request_id=origin.request_id,
            correlation_id=origin.correlation_id or origin.request_id,
            traceparent=context.current().traceparent,
        )
    )


def inserted(payments: Sequence[Payment]) -> dict[str, list[Any]]:
    """The parameters of INSERT."""
    return {column.name: [column.value(payment) for payment in payments] for column in _COLUMNS}


def saved(payments: Sequence[Payment]) -> dict[str, list[Any]]:
    """The parameters of SAVE."""
    return {column.name: [column.value(payment) for payment in payments] for column in (_COLUMNS[0], *_CHANGING)}


_STATUS = {status.value: status for status in Status}
_FRAUD_REVIEW = {verdict.value: verdict for verdict in FraudReview}
_REVIEW = {review.value: review for review in Review}


def read(row: Row) -> Payment:
    """A Payment from a row of SELECT."""
    currency, metadata = row["currency"], row["metadata"]
    return Payment(
        id=row["id"],
        merchant_id=row["merchant_id"],
        user_id=row["user_id"],
        order_id=row["order_id"],
        gateway=row["gateway"],
        gateway_account_id=row["gateway_account_id"],
        parent_order_id=row["parent_order_id"],
        status=_STATUS[row["status"]],
        seq=row["seq"],
        amount=Money(row["amount_minor"], currency),
        tax=Tax(
            net=Money(row["net_minor"], currency),
            cgst=Money(row["cgst_minor"], currency),
            sgst=Money(row["sgst_minor"], currency),
            igst=Money(row["igst_minor"], currency),
        ),
        platform_fee=Money(row["platform_fee_minor"], currency),
        credits=Credits(row["credits_paid"], row["credits_bonus"]),
        pack_id=row["pack_id"],
        pack_version=row["pack_version"],
        owner_kind=row["owner_kind"],
        owner_id=row["owner_id"],
        place_of_supply=row["place_of_supply"],
        customer=Customer(row["customer_email"], row["customer_phone"], row["customer_name"]),
        is_account_email=row["is_account_email"],
        description=row["description"],
        metadata=_metadata(metadata) if metadata != "{}" else {},
        provider_id=row["provider_id"],
        service_type=row["service_type"],
        method_hint=row["method_hint"],
        return_url=row["return_url"],
        idempotency_key=row["idempotency_key"],
        request_fingerprint=row["request_fingerprint"],
        origin=Origin(
            row["actor_id"],
            row["ip"],
            row["device_id"],
            row["user_agent"],
            row["request_id"],
            row["trace_id"],
            row["correlation_id"],
        ),
        fraud_score=row["fraud_score"],
        fraud_review=_FRAUD_REVIEW[row["fraud_review"]],
        review=_REVIEW[row["review"]],
        review_reason=row["review_reason"],
        gateway_order_id=row["gateway_order_id"],
        gateway_payment_id=row["gateway_payment_id"],
        session_id=row["payment_session_id"],
        method=row["payment_method"],
        payment_group=row["payment_group"],
        failure_reason=row["failure_reason"],
        cancel_requested=row["cancel_requested"],
        webhook_verified=row["webhook_verified"],
        checks=row["retry_count"],
        next_check_at=row["next_check_at"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        paid_at=row["paid_at"],
        updated_at=row["updated_at"],
    )
