"""Settlements: what a gateway paid to the bank, as it shows it, and what of that is not yet in the books."""

from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from common import ids
from common.errors import NotFound
from gateways.settlements import SettlementRow, SettlementSnapshot, SettlementStatus, SettlementWindow

# Gateways answer about at most so many days at once.
WINDOW_DAYS_MAX: Final = 30


class SettlementNotFound(NotFound):
    fix = "Check the settlement's id, and that it is one of your merchant's."


class Figures(msgspec.Struct, frozen=True):
    """Minor units of the settlement's currency; gross = net + fee + fee_tax + adjustment, each possibly below zero."""

    gross: int = 0
    fee: int = 0
    fee_tax: int = 0
    adjustment: int = 0
    net: int = 0

    def __sub__(self, other: "Figures") -> "Figures":
        return Figures(
            self.gross - other.gross,
            self.fee - other.fee,
            self.fee_tax - other.fee_tax,
            self.adjustment - other.adjustment,
            self.net - other.net,
        )


NOTHING: Final = Figures()


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Unique by the gateway's own id in its account. `seq` goes up by one with every change that is taken over."""

    id: UUID
    gateway: str
    gateway_account_id: str
    merchant_id: str
    gateway_settlement_id: str
    utr: str
    status: SettlementStatus
    currency: str
    figures: Figures
    # What the events have said of it so far.
    booked: Figures = NOTHING
    settled_at: datetime | None
    seq: int = 1
    rows_due: bool = True
    rows_cursor: str = ""
    # Its payments have to be told of rows or a status.
    payments_due: bool = True
    unreadable: int = 0
    imported_at: datetime
    updated_at: datetime


class StoredRow(msgspec.Struct, frozen=True):
    """A row as it is kept: with the payment that has its order, where one has."""

    id: UUID
    settlement_id: UUID
    payment_id: UUID | None
    row: SettlementRow
    # The refund of ours that has the gateway's id in the row, where rows are read to be shown.
    refund_id: UUID | None = None

    @property
    def reference(self) -> str:
        """Ours (rfd_…) for a refund that is known, what the gateway's row says otherwise."""
        return ids.encode("rfd", self.refund_id) if self.refund_id else self.row.reference


class ImportState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an account is imported: the days that are being read, and where the next page starts."""

    gateway_account_id: str
    first: date
    last: date
    cursor: str
    leased_until: datetime

    @property
    def window(self) -> SettlementWindow:
        return SettlementWindow(self.first, self.last)


class Account(msgspec.Struct, frozen=True):
    """The account whose settlements are imported, and the merchant whose books they are in."""

    id: str
    gateway: str
    merchant_id: str


def figures_of(shown: SettlementSnapshot) -> Figures:
    return Figures(shown.gross.minor, shown.fee.minor, shown.fee_tax.minor, shown.adjustment.minor, shown.net.minor)


def take_over(
    known: Settlement | None, shown: SettlementSnapshot, account: Account, new_id: UUID, now: datetime
) -> tuple[Settlement, Figures] | None:
    """The settlement as it is now, and what of it is to be booked; None when nothing changed.

    Only what is SETTLED reached the bank: a settlement that is held or reversed is booked back to nothing.
    """
    figures = figures_of(shown)
    if known is not None and _as_shown(known) == (shown.utr, shown.status, figures, shown.settled_at):
        return None
    target = figures if shown.status is SettlementStatus.SETTLED else NOTHING
    if known is None:
        settlement = Settlement(
            id=new_id,
            gateway=account.gateway,
            gateway_account_id=account.id,
            merchant_id=account.merchant_id,
            gateway_settlement_id=shown.gateway_settlement_id,
            utr=shown.utr,
            status=shown.status,
            currency=shown.net.currency,
            figures=figures,
            booked=target,
            settled_at=shown.settled_at,
            imported_at=now,
            updated_at=now,
        )
        return settlement, target
    changed = msgspec.structs.replace(
        known,
        utr=shown.utr,
        status=shown.status,
        figures=figures,
        booked=target,
        settled_at=shown.settled_at,
        seq=known.seq + 1,
        rows_due=True,
        rows_cursor="",
        payments_due=True,
        updated_at=now,
    )
    return changed, target - known.booked


def _as_shown(known: Settlement) -> tuple[str, SettlementStatus, Figures, datetime | None]:
    return known.utr, known.status, known.figures, known.settled_at


def contradicts(kept: SettlementRow, shown: SettlementRow) -> bool:
    """Whether the gateway shows a row otherwise than before. A row gets its settlement's UTR when that is paid out."""
    return msgspec.structs.replace(kept, utr="") != msgspec.structs.replace(shown, utr="")


def chunk(first: date, today: date) -> tuple[date, date]:
    """The days that one pass reads, beginning with *first*."""
    first = min(first, today)
    return first, min(first + timedelta(days=WINDOW_DAYS_MAX - 1), today)
