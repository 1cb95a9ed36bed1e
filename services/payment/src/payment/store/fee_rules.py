"""The rules of the platform fee."""

from common.database import Tx
from payment.domain.pricing import FeeRule

_FEE_RULES = "select merchant_id, service_type, basis_points, minimum_minor, maximum_minor from fee_rules"


async def fee_rules(tx: Tx) -> list[FeeRule]:
    return [
        FeeRule(
            merchant_id=row.merchant_id,
            service_type=row.service_type,
            basis_points=row.basis_points,
            minimum_minor=row.minimum_minor,
            maximum_minor=row.maximum_minor,
        )
        for row in await tx.execute(_FEE_RULES)
    ]
