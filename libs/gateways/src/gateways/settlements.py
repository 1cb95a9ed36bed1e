"""Settlements in the port: what a gateway paid to the merchant's bank, and for what."""

from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec

from common.money import Money
from gateways.orders import Unknown


class SettlementStatus(StrEnum):
    PENDING = "PENDING"
    SETTLED = "SETTLED"
    # The gateway keeps it for now, or its transfer failed.
    ON_HOLD = "ON_HOLD"
    # The bank sent it back.
    REVERSED = "REVERSED"


class RowKind(StrEnum):
    PAYMENT = "PAYMENT"
    REFUND = "REFUND"
    DISPUTE = "DISPUTE"
    # Anything else by which gross and net differ.
    ADJUSTMENT = "ADJUSTMENT"


class SettlementSnapshot(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A settlement as the gateway shows it: gross = net + fee + fee_tax + adjustment."""

    gateway_settlement_id: str
    utr: str
    status: SettlementStatus
    # Payments less refunds and disputes.
    gross: Money
    fee: Money
    # GST on the fee; may be zero.
    fee_tax: Money
    # Withheld (above zero) or paid on top (below zero).
    adjustment: Money
    net: Money
    settled_at: datetime | None = None


class SettlementRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of a settlement. Amounts are signed: above zero came to us. amount = net + fee + fee_tax."""

    # The gateway's own id of the row, or what stands for it; unique within its settlement.
    row_id: str
    gateway_settlement_id: str
    kind: RowKind
    # Ours, where the row names one.
    order_id: str
    gateway_payment_id: str
    # Ours (rfd_…) for a refund where the row has it, the gateway's own otherwise, and for a dispute.
    reference: str
    amount: Money
    fee: Money
    fee_tax: Money
    net: Money
    at: datetime | None
    utr: str = ""


class SettlementPage(msgspec.Struct, frozen=True):
    settlements: tuple[SettlementSnapshot, ...]
    # "" after the last page.
    next_cursor: str = ""
    # Entries that could not be read; a person has to look.
    unreadable: int = 0


class SettlementRowPage(msgspec.Struct, frozen=True):
    rows: tuple[SettlementRow, ...]
    next_cursor: str = ""
    unreadable: int = 0


class SettlementWindow(msgspec.Struct, frozen=True):
    """Days of settlement in India's time, both included."""

    first: date
    last: date


ReadSettlementsResult: TypeAlias = SettlementPage | Unknown
ReadSettlementRowsResult: TypeAlias = SettlementRowPage | Unknown
