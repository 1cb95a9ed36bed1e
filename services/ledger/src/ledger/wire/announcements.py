"""Events out: what the ledger announces."""

from datetime import datetime

from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.ledger.v1 import ledger_pb2 as pb
from common.events import audit, head
from common.times import rfc3339
from ledger.domain.blocks import Block
from ledger.domain.controls import ClosedPeriod, Freeze

SERVICE = "ledger"


def block_sealed(block: Block) -> pb.LedgerBlockSealed:
    """The head of a new block, signed."""
    return pb.LedgerBlockSealed(
        **head(block.sealed_at),
        epoch=block.cluster,
        height=block.height,
        head=block.head.hex(),
        entries=block.contents.entries,
        audit_entries=block.contents.audit_entries,
        signature=block.signature.hex(),
        key_id=block.key_id,
    )


def period_closed(before: ClosedPeriod | None, period: ClosedPeriod) -> AuditRecorded:
    return audit(
        "period.close",
        ("period", rfc3339(period.closed_until)),
        service=SERVICE,
        at=period.closed_at,
        merchant_id=period.merchant_id,
        actor_id=period.closed_by,
        before={"closedUntil": rfc3339(before.closed_until)} if before else None,
        after={"closedUntil": rfc3339(period.closed_until), "reason": period.reason},
    )


def account_frozen(freeze: Freeze) -> AuditRecorded:
    return _freeze(freeze, "account.freeze", freeze.frozen_at, freeze.frozen_by, freeze.reason, is_frozen=True)


def account_unfrozen(freeze: Freeze) -> AuditRecorded:
    assert freeze.unfrozen_at is not None, "it was unfrozen"
    actor_id, reason = freeze.unfrozen_by or "", freeze.unfreeze_reason or ""
    return _freeze(freeze, "account.unfreeze", freeze.unfrozen_at, actor_id, reason, is_frozen=False)


def _freeze(freeze: Freeze, action: str, at: datetime, actor_id: str, reason: str, *, is_frozen: bool) -> AuditRecorded:
    return audit(
        action,
        ("account", freeze.account),
        service=SERVICE,
        at=at,
        merchant_id=freeze.merchant_id,
        actor_id=actor_id,
        before={"isFrozen": not is_frozen},
        after={"isFrozen": is_frozen, "reason": reason},
    )
