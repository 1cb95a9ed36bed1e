"""What payment announces about settlements, and to whom it raises an alert."""

from collections.abc import Sequence
from datetime import datetime

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.payment.v1 import settlements_pb2 as pb
from common import events, ids
from common.events import head, micros
from gateways.settlements import SettlementRow
from payment.domain.payments import Payment
from payment.domain.settlements import Account, Figures, Settlement, StoredRow
from payment.wire.events import SERVICE, payment_message

# An alert names so many rows at most.
_NAMED_MAX = 10


def settlement_message(settlement: Settlement, conflicts: int = 0) -> pb.Settlement:
    figures = settlement.figures
    return pb.Settlement(
        settlement_id=ids.encode("stl", settlement.id),
        gateway=settlement.gateway,
        account_id=settlement.gateway_account_id,
        gateway_settlement_id=settlement.gateway_settlement_id,
        utr=settlement.utr,
        status=settlement.status.value,
        currency=settlement.currency,
        gross_minor=figures.gross,
        fee_minor=figures.fee,
        fee_tax_minor=figures.fee_tax,
        adjustment_minor=figures.adjustment,
        net_minor=figures.net,
        settled_unix_micros=micros(settlement.settled_at) if settlement.settled_at else 0,
        seq=settlement.seq,
        merchant_id=settlement.merchant_id,
        is_complete=not settlement.rows_due,
        conflicts=conflicts,
        unreadable=settlement.unreadable,
    )


def row_message(stored: StoredRow) -> pb.SettlementRow:
    row = stored.row
    return pb.SettlementRow(
        row_id=row.row_id,
        settlement_id=ids.encode("stl", stored.settlement_id),
        kind=row.kind.value,
        payment_id=ids.encode("pay", stored.payment_id) if stored.payment_id else "",
        order_id=row.order_id,
        gateway_payment_id=row.gateway_payment_id,
        refund_id=stored.reference,
        amount_minor=row.amount.minor,
        fee_minor=row.fee.minor,
        fee_tax_minor=row.fee_tax.minor,
        net_minor=row.net.minor,
        currency=row.amount.currency,
        event_unix_micros=micros(row.at) if row.at else 0,
        utr=row.utr,
    )


def imported(settlement: Settlement, delta: Figures, at: datetime) -> pb.SettlementImported:
    return pb.SettlementImported(
        **head(at),
        settlement=settlement_message(settlement),
        gross_minor=delta.gross,
        fee_minor=delta.fee,
        fee_tax_minor=delta.fee_tax,
        adjustment_minor=delta.adjustment,
        net_minor=delta.net,
    )


def payment_settled(payment: Payment, settlement: Settlement, row: SettlementRow, at: datetime) -> pb.PaymentSettled:
    return pb.PaymentSettled(
        **head(at),
        payment=payment_message(payment),
        settlement_id=ids.encode("stl", settlement.id),
        utr=row.utr or settlement.utr,
        fee_minor=row.fee.minor,
        fee_tax_minor=row.fee_tax.minor,
        net_minor=row.net.minor,
        settled_unix_micros=micros(settlement.settled_at) if settlement.settled_at else 0,
    )


def unreadable_settlements(account: Account, number: int, at: datetime) -> AdminAlertRaised:
    return events.alert(
        "settlement_unreadable",
        f"{number} settlements of {account.id} cannot be read: look at them in the gateway's dashboard",
        service=SERVICE,
        at=at,
        fields={"gatewayAccountId": account.id, "number": str(number)},
    )


def unreadable_rows(settlement: Settlement, number: int, at: datetime) -> AdminAlertRaised:
    return events.alert(
        "settlement_row_unreadable",
        f"{number} rows of settlement {settlement.gateway_settlement_id} cannot be read",
        service=SERVICE,
        at=at,
        fields=_names(settlement) | {"number": str(number)},
    )


def conflicting_rows(settlement: Settlement, row_ids: Sequence[str], at: datetime) -> AdminAlertRaised:
    return events.alert(
        "settlement_row_conflict",
        f"{len(row_ids)} rows of settlement {settlement.gateway_settlement_id} are shown otherwise than before;"
        " what was first shown is kept: compare them in the gateway's dashboard",
        service=SERVICE,
        at=at,
        fields=_names(settlement) | {"rows": ", ".join(row_ids[:_NAMED_MAX])},
    )


def _names(settlement: Settlement) -> dict[str, str]:
    return {
        "settlementId": ids.encode("stl", settlement.id),
        "gatewaySettlementId": settlement.gateway_settlement_id,
        "gatewayAccountId": settlement.gateway_account_id,
    }
