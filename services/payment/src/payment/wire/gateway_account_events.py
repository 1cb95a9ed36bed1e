"""Changes of merchants' gateway accounts, for the audit log: no secrets."""

from datetime import datetime

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import events
from payment.domain.gateway_accounts import MerchantAccount
from payment.wire.events import SERVICE


def audit_account(action: str, account: MerchantAccount, actor_id: str, at: datetime) -> AuditRecorded:
    return events.audit(
        f"gateway_account.{action}",
        ("gateway_account", account.account_id),
        service=SERVICE,
        at=at,
        merchant_id=account.merchant_id,
        actor_id=actor_id,
        after={
            "gateway": account.gateway,
            "mode": account.mode,
            "keyId": account.key_id,
            "status": account.status.value,
            "priority": account.priority,
            "methods": list(account.methods),
            "version": account.version,
        },
    )
