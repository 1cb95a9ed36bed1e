"""Settlements and the events inside them as API answers and as webhooks, 2025-01-01 shapes; and their pages."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sandbox.cashfree import errors
from sandbox.cashfree.domain import Event, Order, Settlement
from sandbox.clock import ist, seconds_of
from sandbox.money import shortest, two_decimals

_LIMIT_MIN, _LIMIT_MAX, _LIMIT_DEFAULT = 10, 1_000, 10
_REASONS = {"FAILED": "The bank account could not be credited.", "REVERSED": "The bank sent the money back."}
# A refund, a dispute or an adjustment; payments alone carry charges.
_ADJUSTMENT = "OTHER_ADJUSTMENT"


class Sums(msgspec.Struct, frozen=True):
    """What a settlement is made of: settled = payments - charge - tax + adjustment."""

    payments: int
    charge: int
    tax: int
    adjustment: int

    @property
    def settled(self) -> int:
        return self.payments - self.charge - self.tax + self.adjustment


def sums(it: Settlement) -> Sums:
    return Sums(
        sum(event.signed_paise for event in it.events if event.event_type != _ADJUSTMENT),
        sum(event.fee_paise for event in it.events),
        sum(event.tax_paise for event in it.events),
        sum(event.signed_paise for event in it.events if event.event_type == _ADJUSTMENT),
    )


def entity(it: Settlement) -> dict[str, Any]:
    """A row of POST /settlements."""
    own = sums(it)
    first, last = _period(it)
    return {
        "cf_settlement_id": str(it.cf_settlement_id),
        "status": it.status,
        "status_description": _REASONS.get(it.status),
        "settlement_utr": it.utr or None,
        "payment_from": first,
        "payment_till": last,
        "settlement_initiated_on": ist(it.initiated_at),
        "settlement_processed_on": None if it.processed_at is None else ist(it.processed_at),
        "payment_amount": _number(own.payments),
        "pg_service_charge": _number(own.charge),
        "pg_service_tax": _number(own.tax),
        "adjustment": _number(own.adjustment),
        "settlement_charge": 0,
        "settlement_tax": 0,
        "split_service_charge": 0,
        "split_service_tax": 0,
        "vendor_commission": 0,
        "amount_settled": _number(own.settled),
        "charge_type": "PREPAID",
        "settlement_type": "NORMAL_SETTLEMENT",
    }


def recon_row(it: Settlement, event: Event, order: Order | None) -> dict[str, Any]:
    """A row of POST /settlement/recon."""
    first, last = _period(it)
    is_refund = event.event_type in ("REFUND", "REFUND_REVERSAL")
    is_known = bool(event.order_id)
    return {
        "event_details": {
            "event_id": event.event_id,
            "event_type": event.event_type,
            "event_settlement_amount": _number(event.amount_paise - event.fee_paise - event.tax_paise),
            "event_amount": _number(event.amount_paise),
            "sale_type": event.sale_type,
            "event_status": "SUCCESS",
            "entity": "recon",
            "event_time": ist(event.time),
            "event_currency": event.currency,
            "event_service_charge": _number(event.fee_paise),
            "event_service_tax": _number(event.tax_paise),
            "event_remarks": None,
        },
        "order_details": {
            "order_id": event.order_id if is_known else None,
            "order_amount": None if order is None else _number(order.amount_paise),
            "order_currency": None if order is None else order.currency,
            "order_tags": None if order is None else msgspec.Raw(order.tags),
        },
        "customer_details": {} if order is None else msgspec.Raw(order.customer),
        "payment_details": {
            "cf_payment_id": str(event.cf_payment_id) if is_known else None,
            "payment_amount": None if order is None else _number(order.amount_paise),
            "payment_currency": event.currency,
            "bank_reference": str(event.cf_payment_id)[-12:] if is_known else None,
            "payment_service_charge": _number(event.fee_paise),
            "payment_service_tax": _number(event.tax_paise),
            "status": "SUCCESS" if is_known else None,
        },
        "settlement_details": {
            "cf_settlement_id": str(it.cf_settlement_id),
            "settlement_date": None if it.processed_at is None else ist(it.processed_at),
            "utr": event.utr or it.utr or None,
            "payment_from": first,
            "payment_till": last,
            "settlement_initiated_on": ist(it.initiated_at),
            "settlement_type": "NORMAL_SETTLEMENT",
            "reason": _REASONS.get(it.status),
        },
        "dispute_details": {"closed_in_favor_of": "Merchant" if event.event_type == "DISPUTE_REVERSAL" else None},
        "refund_details": {"refund_id": event.refund_id if is_refund else None},
    }


def order_entity(it: Settlement, event: Event, order: Order) -> dict[str, Any]:
    """GET /orders/{id}/settlements: one flat object, up to 2025-01-01."""
    return {
        "cf_payment_id": str(event.cf_payment_id),
        "order_id": order.order_id,
        "entity": "settlement",
        "order_amount": _number(order.amount_paise),
        "payment_time": ist(event.time),
        "service_charge": _number(event.fee_paise),
        "service_tax": _number(event.tax_paise),
        "settlement_amount": _number(event.amount_paise - event.fee_paise - event.tax_paise),
        "cf_settlement_id": str(it.cf_settlement_id),
        "settlement_id": it.cf_settlement_id,
        "transfer_id": it.cf_settlement_id,
        "transfer_time": ist(it.processed_at or it.initiated_at),
        "transfer_utr": it.utr or None,
        "order_currency": order.currency,
        "settlement_currency": order.currency,
        "charges_currency": "INR",
    }


def webhook(it: Settlement) -> dict[str, Any]:
    """The data of a SETTLEMENT_… webhook: the UTR is a number there, and the period has no offset."""
    own = sums(it)
    first, last = _period(it)
    return {
        "settlement": {
            "adjustment": _amount(own.adjustment),
            "amount_settled": _amount(own.settled if it.status == "SUCCESS" else 0),
            "payment_amount": _amount(own.payments),
            "payment_from": first,
            "payment_till": last,
            "reason": _REASONS.get(it.status),
            "service_charge": _amount(own.charge),
            "service_tax": _amount(own.tax),
            "settled_on": None if it.processed_at is None else ist(it.processed_at),
            "settlement_type": "STANDARD",
            "settlement_amount": _amount(own.settled),
            "settlement_id": it.cf_settlement_id,
            "settlement_initiated_on": ist(it.initiated_at),
            "status": "CREATED" if it.status == "PENDING" else it.status,
            "utr": int(it.utr) if it.utr else None,
            "settlement_charge": _amount(0),
            "settlement_tax": _amount(0),
            "remarks": None,
        }
    }


def page(payload: dict[str, Any], rows: Sequence[Any]) -> tuple[Sequence[Any], bytes]:
    """The rows that a request asks for, and the cursor that follows them, as JSON; raises Refused."""
    pagination = payload.get("pagination")
    if not isinstance(pagination, dict):
        raise errors.missing("pagination")
    limit = pagination.get("limit", _LIMIT_DEFAULT)
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < _LIMIT_MIN:
        raise errors.Refused(400, "pagination.limit_invalid", f"pagination.limit : should be at least {_LIMIT_MIN}")
    if limit > _LIMIT_MAX:
        raise errors.Refused(400, "pagination.limit_invalid", f"pagination.limit : should be at max {_LIMIT_MAX}")
    start = _position(pagination.get("cursor"))
    end = start + limit
    return rows[start:end], _cursor(end) if end < len(rows) else b"null"


def matching(payload: dict[str, Any], settlements: Iterable[Settlement], *, needs_filter: bool) -> list[Settlement]:
    """The settlements that the filters name; raises Refused."""
    filters = payload.get("filters") or {}
    if not isinstance(filters, dict):
        raise errors.missing("filters")
    ids, utrs = ({str(each) for each in filters.get(name) or ()} for name in ("cf_settlement_ids", "settlement_utrs"))
    start, end = (seconds_of(str(filters.get(name))) for name in ("start_date", "end_date"))
    if needs_filter and not (ids or utrs or start):
        raise errors.Refused(400, "filters_missing", "filters : at least one filter is needed")
    return [
        each
        for each in settlements
        if (not ids or str(each.cf_settlement_id) in ids)
        and (not utrs or each.utr in utrs)
        and (start is None or each.initiated_at >= start)
        and (end is None or each.initiated_at <= end)
    ]


def rendered(rows: Sequence[Any], cursor: bytes) -> bytes:
    return msgspec.json.encode({"cursor": msgspec.Raw(cursor), "limit": len(rows), "data": rows})


def _cursor(position: int) -> bytes:
    document = {"searchAfter": {"list": [position], "empty": False}, "reconAPIType": "SETTLEMENT"}
    return msgspec.json.encode(base64.b64encode(msgspec.json.encode(document)).decode())


def _position(cursor: object) -> int:
    if not cursor:
        return 0
    try:
        [position] = msgspec.json.decode(base64.b64decode(str(cursor), validate=True))["searchAfter"]["list"]
        return max(int(position), 0)
    except (ValueError, KeyError, TypeError, msgspec.DecodeError) as problem:
        raise errors.invalid("pagination.cursor", "is not a cursor", cursor) from problem


def _period(it: Settlement) -> tuple[str | None, str | None]:
    times = sorted(event.time for event in it.events)
    return (_local(times[0]), _local(times[-1])) if times else (None, None)


def _local(seconds: int) -> str:
    return ist(seconds).removesuffix("+05:30").replace("T", " ")


def _number(paise: int) -> msgspec.Raw:
    return msgspec.Raw(f"{'-' if paise < 0 else ''}{shortest(abs(paise))}".encode())


def _amount(paise: int) -> msgspec.Raw:
    return msgspec.Raw(f"{'-' if paise < 0 else ''}{two_decimals(abs(paise))}".encode())
