"""A merchant's own account at a gateway: who may be called with it, and which secrets verify its webhooks."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from common import ids
from common.errors import Conflict, InvalidArgument, LimitExceeded, NotFound

PREFIX: Final = "gwa"
# A webhook secret that was replaced verifies for so long: gateways send again what they signed before.
OVERLAP: Final = timedelta(days=1)
PRIORITY_DEFAULT: Final = 100
# The kinds of its sealed values.
KEY_SECRET: Final = "gateway.key_secret"  # noqa: S105 - a name
WEBHOOK_SECRET: Final = "gateway.webhook_secret"  # noqa: S105 - a name


class GatewayAccountUnknown(NotFound):
    fix = "Check the account's id, and that the account is your merchant's."


class GatewayAccountExists(Conflict):
    """The merchant has an account with this key at this gateway."""

    fix = "Use the account that is there; to replace its credentials disable it and create one with the new key."


class GatewayCredentialsInvalid(InvalidArgument):
    """The gateway's name, mode and credentials do not belong together."""

    fix = "Send the key of a gateway that merchants may have accounts at, of the kind that this installation takes."


class GatewayAccountsLimit(LimitExceeded):
    fix = "Disable nothing: ask for a larger limit, or use the accounts that are there."


class AccountStatus(StrEnum):
    ENABLED = "ENABLED"
    # It takes no new payments; those that it has are read and refunded on, and its webhooks are taken in.
    DISABLED = "DISABLED"


class MerchantAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets and the phone number are sealed."""

    id: UUID
    merchant_id: str
    gateway: str
    # live or test.
    mode: str
    key_id: str
    key_secret: str
    webhook_secret: str
    webhook_secret_before: str = ""
    webhook_secret_before_until: datetime | None = None
    contact_phone: str = ""
    methods: tuple[str, ...] = ()
    priority: int = PRIORITY_DEFAULT
    amount_min_minor: int = 0
    amount_max_minor: int | None = None
    status: AccountStatus = AccountStatus.ENABLED
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def account_id(self) -> str:
        """gwa_…: what payments and webhooks name it by."""
        return ids.encode(PREFIX, self.id)

    def __repr__(self) -> str:
        """Without the secrets, so that a log line or a failed assertion cannot show them."""
        return f"MerchantAccount(id={self.account_id!r}, gateway={self.gateway!r})"

    def webhook_secrets(self, now: datetime) -> tuple[str, ...]:
        """Those that verify at *now*, sealed."""
        until = self.webhook_secret_before_until
        is_overlapping = until is not None and now < until
        return (self.webhook_secret, self.webhook_secret_before) if is_overlapping else (self.webhook_secret,)


def rotated(account: MerchantAccount, webhook_secret: str, now: datetime) -> MerchantAccount:
    """With the new (sealed) webhook secret; the one before verifies on for a while."""
    return msgspec.structs.replace(
        account,
        webhook_secret=webhook_secret,
        webhook_secret_before=account.webhook_secret,
        webhook_secret_before_until=now + OVERLAP,
        version=account.version + 1,
        updated_at=now,
    )


def disabled(account: MerchantAccount, now: datetime) -> MerchantAccount:
    if account.status is AccountStatus.DISABLED:
        return account
    return msgspec.structs.replace(account, status=AccountStatus.DISABLED, version=account.version + 1, updated_at=now)
