"""Who may see runs and cases."""

from common.errors import PermissionDenied


class MerchantNotPlatform(PermissionDenied):
    """Runs and cases are about all merchants together."""

    fix = "Ask a member of the platform's own finance team."


def require_platform(merchant_id: str, platform_merchant_id: str) -> None:
    """Raises MerchantNotPlatform for a caller of any other merchant."""
    if merchant_id != platform_merchant_id:
        raise MerchantNotPlatform("runs and cases are for the platform's own staff")
