"""How a Payment lies in its table: one list of columns that insert, save and read all come from."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from common.money import Money
from payment.domain import Credits, Customer, Origin, Payment, Review, Status, Tax, reference_id

_json = msgspec.json.Encoder().encode
_metadata = msgspec.json.Decoder(dict[str, str | int | bool]).decode


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
    _C("description", "text", lambda p: p.description),
    _C("metadata", "jsonb", lambda p: _json(p.metadata).decode() if p.metadata else "{}"),
    _C("provider_id", "text", lambda p: p.provider_id),
    _C("service_type", "text", lambda p: p.service_type),
    _C("method_hint", "text", lambda p: p.method_hint),
    _C("return_url", "text", lambda p: p.return_url),
    _C("idempotency_key", "text", lambda p: p.idempotency_key),
    _C("actor_id", "text", lambda p: p.origin.actor_id),
    _C("ip", "text", lambda p: p.origin.ip),
    _C("device_id", "text", lambda p: p.origin.device_id),
    _C("user_agent", "text", lambda p: p.origin.user_agent),
    _C("request_id", "text", lambda p: p.origin.request_id),
    _C("trace_id", "text", lambda p: p.origin.trace_id),
    _C("fraud_score", "integer", lambda p: p.fraud_score, True),
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
# reference_id is derived and metadata is parsed, so they are read in their own way.
_READ = tuple(column for column in _COLUMNS if column.name != "reference_id")

SELECT = ", ".join(
    "cast(metadata as text) as metadata" if column.name == "metadata" else column.name for column in _READ
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


def inserted(payments: Sequence[Payment]) -> dict[str, list[Any]]:
    """The parameters of INSERT."""
    return {column.name: [column.value(payment) for payment in payments] for column in _COLUMNS}


def saved(payments: Sequence[Payment]) -> dict[str, list[Any]]:
    """The parameters of SAVE."""
    return {column.name: [column.value(payment) for payment in payments] for column in (_COLUMNS[0], *_CHANGING)}


_STATUS = {status.value: status for status in Status}
_REVIEW = {review.value: review for review in Review}


def read(row: Any) -> Payment:
    """A Payment from a row of SELECT."""
    (
        payment_id, merchant_id, user_id, order_id, gateway, status, seq, amount, currency, net, cgst, sgst, igst, fee,
        credits_paid, credits_bonus, pack_id, pack_version, owner_kind, owner_id, supply, email, phone, name,
        description, metadata, provider_id, service_type, method_hint, return_url, idempotency_key, actor_id, ip,
        device_id, user_agent, request_id, trace_id, fraud_score, review, review_reason, gateway_order_id,
        gateway_payment_id, session_id, method, group, failure_reason, cancel_requested, webhook_verified, checks,
        next_check_at, created_at, expires_at, paid_at, updated_at,
    ) = row  # fmt: skip
    return Payment(
        id=payment_id,
        merchant_id=merchant_id,
        user_id=user_id,
        order_id=order_id,
        gateway=gateway,
        status=_STATUS[status],
        seq=seq,
        amount=Money(amount, currency),
        tax=Tax(Money(net, currency), Money(cgst, currency), Money(sgst, currency), Money(igst, currency)),
        platform_fee=Money(fee, currency),
        credits=Credits(credits_paid, credits_bonus),
        pack_id=pack_id,
        pack_version=pack_version,
        owner_kind=owner_kind,
        owner_id=owner_id,
        place_of_supply=supply,
        customer=Customer(email, phone, name),
        description=description,
        metadata=_metadata(metadata) if metadata != "{}" else {},
        provider_id=provider_id,
        service_type=service_type,
        method_hint=method_hint,
        return_url=return_url,
        idempotency_key=idempotency_key,
        origin=Origin(actor_id, ip, device_id, user_agent, request_id, trace_id),
        fraud_score=fraud_score,
        review=_REVIEW[review],
        review_reason=review_reason,
        gateway_order_id=gateway_order_id,
        gateway_payment_id=gateway_payment_id,
        session_id=session_id,
        method=method,
        payment_group=group,
        failure_reason=failure_reason,
        cancel_requested=cancel_requested,
        webhook_verified=webhook_verified,
        checks=checks,
        next_check_at=next_check_at,
        created_at=created_at,
        expires_at=expires_at,
        paid_at=paid_at,
        updated_at=updated_at,
    )
