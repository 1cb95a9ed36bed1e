"""Merchants' own gateway accounts: added, rotated, disabled; opened for calls, and routed to."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from common import ids, outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, Tx, retried
from common.seals import PHONE, Sealer
from common.tokens import Caller
from gateways import GatewayAccount, GatewayUnsupported
from gateways import MerchantAccounts as Terms
from gateways.directory import GatewayDirectory
from gateways.registry import adapter
from payment.domain import gateway_accounts as domain
from payment.domain.gateway_accounts import (
    KEY_SECRET,
    WEBHOOK_SECRET,
    AccountStatus,
    GatewayAccountExists,
    GatewayAccountsLimit,
    GatewayAccountUnknown,
    GatewayCredentialsInvalid,
    MerchantAccount,
)
from payment.domain.routing import ACCOUNTS_MAX, Candidate
from payment.store import gateway_accounts as store
from payment.use_cases.routing import Router
from payment.wire import gateway_account_events

REFRESH_SECONDS: Final = 5
READ: Final = "gateway_accounts.read"
MANAGE: Final = "gateway_accounts.manage"
_NIL = UUID(int=0)


class AccountSettings(msgspec.Struct, frozen=True):
    is_production: bool
    public_url: str
    # Outside production: where the platform's own test account of a gateway is called, by gateway.
    test_urls: Mapping[str, str] = {}


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A request to add an account, its secrets in plain."""

    merchant_id: str
    actor_id: str
    gateway: str
    key_id: str
    key_secret: str
    webhook_secret: str = ""
    contact_phone: str = ""
    methods: tuple[str, ...] = ()
    priority: int = domain.PRIORITY_DEFAULT
    amount_min_minor: int = 0
    amount_max_minor: int | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"NewAccount(merchant_id={self.merchant_id!r}, gateway={self.gateway!r})"


class MerchantAccounts:
    """What the API does, and what keeps *directory* and *router* as the table is."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        authorizer: Authorizer,
        directory: GatewayDirectory,
        router: Router,
        settings: AccountSettings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._authorizer = authorizer
        self._directory = directory
        self._router = router
        self._settings = settings
        self._mark: tuple[int, int] | None = None

    async def of_merchant(self, merchant_id: str) -> list[MerchantAccount]:
        async with self._db.begin() as tx:
            return await store.of_merchant(tx, merchant_id)

    async def of_merchants(self, merchant_id: str) -> list[MerchantAccount]:
        """Of one merchant, or of all."""
        return await (self.of_merchant(merchant_id) if merchant_id else self.page(_NIL, store.ALL_MAX))

    async def webhook_accounts(self, after: UUID, limit: int) -> tuple[list[MerchantAccount], list[list[str]]]:
        """A page by id, and the secrets that verify the webhooks of each account now, in plain."""
        accounts = await self.page(after, limit)
        now, sealer = self._clock.now(), self._db.sealer
        opened = [[sealer.open(WEBHOOK_SECRET, each) for each in account.webhook_secrets(now)] for account in accounts]
        return accounts, opened

    async def page(self, after: UUID, limit: int) -> list[MerchantAccount]:
        """Of all merchants, by id."""
        async with self._db.begin() as tx:
            return await store.page(tx, after, limit)

    async def create_for(self, caller: Caller, request: NewAccount) -> MerchantAccount:
        """As `create`, for a person. Raises RightsOutdated, or CalleeUnavailable without identity's answer."""
        await self._authorizer.require(caller, MANAGE)
        return await self.create(request)

    async def create(self, request: NewAccount) -> MerchantAccount:
        """Raises GatewayUnsupported, GatewayCredentialsInvalid, GatewayAccountExists, GatewayAccountsLimit."""
        account = new_account(request, self._db.sealer, self._settings, self._clock.now())
        await add_account(self._db, account, request.actor_id)
        await self.refresh()
        return account

    async def rotate_for(self, caller: Caller, account_id: UUID, webhook_secret: str) -> MerchantAccount:
        """As `rotate`, for a person and an account of their merchant."""
        await self._authorizer.require(caller, MANAGE)
        return await self.rotate(account_id, webhook_secret, caller.actor_id, caller.merchant_id)

    async def rotate(
        self, account_id: UUID, webhook_secret: str, actor_id: str, merchant_id: str | None = None
    ) -> MerchantAccount:
        """The new webhook secret verifies from now on, the one before for OVERLAP. Raises GatewayAccountUnknown."""
        sealed = self._db.sealer.seal(WEBHOOK_SECRET, webhook_secret)
        account = await rotate_secret(self._db, account_id, merchant_id, sealed, actor_id, self._clock.now())
        await self.refresh()
        return account

    async def disable_for(self, caller: Caller, account_id: UUID) -> MerchantAccount:
        """As `disable`, for a person and an account of their merchant."""
        await self._authorizer.require(caller, MANAGE)
        return await self.disable(account_id, caller.actor_id, caller.merchant_id)

    async def disable(self, account_id: UUID, actor_id: str, merchant_id: str | None = None) -> MerchantAccount:
        """It takes no new payments; the second time changes nothing. Raises GatewayAccountUnknown."""
        account = await disable_account(self._db, account_id, merchant_id, actor_id, self._clock.now())
        await self.refresh()
        return account

    async def refresh(self) -> None:
        """Follow the table; this replica's own changes at once, the others' within REFRESH_SECONDS."""
        await self._directory.close_retired()
        async with self._db.begin() as tx:
            mark = await store.mark(tx)
            if mark == self._mark:
                return
            accounts = await store.page(tx, _NIL, store.ALL_MAX)
        self._directory.set_accounts(self._opened(each) for each in accounts)
        own: dict[str, list[MerchantAccount]] = defaultdict(list)
        for account in accounts:
            own[account.merchant_id].append(account)
        # Who disabled all of their accounts gets no payments, and not the platform's account.
        self._router.set_own_accounts(
            {merchant: tuple(self._candidate(each) for each in theirs) for merchant, theirs in own.items()}
        )
        self._mark = mark

    def _candidate(self, account: MerchantAccount) -> Candidate:
        return Candidate(
            id=account.account_id,
            gateway=account.gateway,
            priority=account.priority,
            is_enabled=account.status is AccountStatus.ENABLED,
            methods=frozenset(account.methods),
            amount_min_minor=account.amount_min_minor,
            amount_max_minor=account.amount_max_minor,
            needs_customer_phone=terms_of(account.gateway).needs_customer_phone and not account.contact_phone,
        )

    def _opened(self, account: MerchantAccount) -> GatewayAccount:
        """With its secrets in plain, for calls."""
        terms, sealer = terms_of(account.gateway), self._db.sealer
        return GatewayAccount(
            id=account.account_id,
            gateway=account.gateway,
            base_url=base_url(account.gateway, account.mode, self._settings),
            key_id=account.key_id,
            key_secret=sealer.open(KEY_SECRET, account.key_secret),
            api_version=terms.api_version,
            contact_phone=sealer.open(PHONE, account.contact_phone),
            notify_url=self._settings.public_url.rstrip("/") + webhook_path(account),
        )


def terms_of(gateway: str) -> Terms:
    """Raises GatewayUnsupported."""
    terms = adapter(gateway).merchant_accounts
    if terms is None:
        raise GatewayUnsupported("merchants have no accounts of their own at this gateway")
    return terms


def webhook_path(account: MerchantAccount) -> str:
    """Where the account's gateway sends its webhooks."""
    return f"/api/v1/webhooks/{account.gateway}/{account.account_id}"


def base_url(gateway: str, mode: str, settings: AccountSettings) -> str:
    """The gateway's own host. Outside production a test account is where the platform's is: the local simulator."""
    terms = terms_of(gateway)
    if mode == "live":
        return terms.live_url
    return settings.test_urls.get(gateway, terms.test_url)


def new_account(request: NewAccount, sealer: Sealer, settings: AccountSettings, now: datetime) -> MerchantAccount:
    """Raises GatewayUnsupported, GatewayCredentialsInvalid."""
    terms = terms_of(request.gateway)
    mode = terms.mode_of(request.key_id, request.key_secret)
    if mode == "live" and not settings.is_production:
        raise GatewayCredentialsInvalid(keyId="is of a live account: this installation takes test accounts only")
    webhook_secret = request.webhook_secret or (request.key_secret if terms.signs_with_key else "")
    if not webhook_secret:
        raise GatewayCredentialsInvalid(webhookSecret="is needed: this gateway does not sign with the key's secret")
    if request.amount_max_minor is not None and request.amount_max_minor < request.amount_min_minor:
        raise GatewayCredentialsInvalid(amountMax="is less than amountMin")
    return MerchantAccount(
        id=ids.new(),
        merchant_id=request.merchant_id,
        gateway=request.gateway,
        mode=mode,
        key_id=request.key_id,
        key_secret=sealer.seal(KEY_SECRET, request.key_secret),
        webhook_secret=sealer.seal(WEBHOOK_SECRET, webhook_secret),
        contact_phone=sealer.seal(PHONE, request.contact_phone),
        methods=request.methods,
        priority=request.priority,
        amount_min_minor=request.amount_min_minor,
        amount_max_minor=request.amount_max_minor,
        created_at=now,
        updated_at=now,
    )


@retried
async def add_account(db: Database, account: MerchantAccount, actor_id: str) -> None:
    """See MerchantAccounts.create."""
    async with db.begin() as tx:
        await store.take_turn(tx, account.merchant_id)
        if len(await store.of_merchant(tx, account.merchant_id)) >= ACCOUNTS_MAX:
            raise GatewayAccountsLimit(f"a merchant has at most {ACCOUNTS_MAX} gateway accounts")
        if not await store.insert(tx, account):
            raise GatewayAccountExists(keyId="is of an account that is there already")
        message = gateway_account_events.audit_account("create", account, actor_id, account.created_at)
        await outbox.append(tx, [message])


@retried
async def rotate_secret(
    db: Database, account_id: UUID, merchant_id: str | None, sealed: str, actor_id: str, now: datetime
) -> MerchantAccount:
    """See MerchantAccounts.rotate."""
    async with db.begin() as tx:
        account = domain.rotated(await _locked(tx, account_id, merchant_id), sealed, now)
        await store.save(tx, account)
        await outbox.append(tx, [gateway_account_events.audit_account("rotate_secret", account, actor_id, now)])
    return account


@retried
async def disable_account(
    db: Database, account_id: UUID, merchant_id: str | None, actor_id: str, now: datetime
) -> MerchantAccount:
    """See MerchantAccounts.disable."""
    async with db.begin() as tx:
        before = await _locked(tx, account_id, merchant_id)
        account = domain.disabled(before, now)
        if account is not before:
            await store.save(tx, account)
            await outbox.append(tx, [gateway_account_events.audit_account("disable", account, actor_id, now)])
    return account


async def _locked(tx: Tx, account_id: UUID, merchant_id: str | None) -> MerchantAccount:
    account = await store.lock(tx, account_id)
    if account is None or merchant_id not in (None, account.merchant_id):
        raise GatewayAccountUnknown("there is no such account")
    return account
