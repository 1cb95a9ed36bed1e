"""Changes of the routing rules, for the audit log."""

from datetime import datetime

import msgspec

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import events
from payment.domain.routing import RoutingRules
from payment.wire.events import SERVICE


def audit_rules(
    before: RoutingRules, after: RoutingRules, merchant_id: str, actor_id: str, reason: str, at: datetime
) -> AuditRecorded:
    """*merchant_id* and *actor_id*: who changed them, and in whose log it stands."""
    return events.audit(
        "routing.change",
        ("routing_rules", str(after.version)),
        service=SERVICE,
        at=at,
        merchant_id=merchant_id,
        actor_id=actor_id,
        before=_shown(before),
        after={**_shown(after), "reason": reason},
    )


def _shown(rules: RoutingRules) -> dict[str, object]:
    return {"version": rules.version, "rules": [msgspec.structs.asdict(rule) for rule in rules.rules]}
