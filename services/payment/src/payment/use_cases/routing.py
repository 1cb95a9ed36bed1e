"""Choose the gateway account of each payment, by rules that are kept in memory, and change those rules."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from common import outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, retried
from common.errors import Conflict, FailedPrecondition, RequestInvalid
from common.tokens import Caller
from gateways import Gateway
from payment.domain import routing as domain
from payment.domain.errors import PaymentNotFound
from payment.domain.payments import Payment
from payment.domain.purchases import AccountChoice
from payment.domain.routing import Candidate, Reason, RouteDecision, RouteRequest, RoutingRule, RoutingRules
from payment.store import queries
from payment.store import routing as store
from payment.use_cases import metrics
from payment.use_cases.gateway_health import GatewayHealth
from payment.wire import routing_events

REFRESH_SECONDS: Final = 10
READ: Final = "routing.read"
CHANGE: Final = "routing.change"


class NoGatewayAccount(FailedPrecondition):
    """None of the merchant's gateway accounts may take this payment."""

    fix = "Choose another method or amount, or enable a gateway account that takes it."


class RoutingRulesChanged(Conflict):
    """Somebody else changed the rules since they were read."""

    fix = "Read the rules, make the change to the version that is in force, and send that version."


class RulesRequest(msgspec.Struct, frozen=True):
    """All rules of the next version; *version* is the one that they replace."""

    version: int
    rules: tuple[RoutingRule, ...]
    actor_id: str
    merchant_id: str
    reason: str


class Router:
    """The accounts and rules as of the last refresh. A merchant with one account costs a look into a dictionary.

    The platform's own accounts collect for the platform, and for other merchants without an account of their own where
    *platform_serves* says so: their customers pay CommDesk then.
    """

    def __init__(
        self,
        db: Database,
        health: GatewayHealth,
        platform: Sequence[Gateway],
        default_gateway: str,
        platform_serves: Callable[[str], bool],
    ) -> None:
        self._db = db
        self.health = health
        self._default_gateway = default_gateway
        self._platform_serves = platform_serves
        self.rules = RoutingRules()
        self._platform = tuple(candidate(gateway, self._priority(gateway)) for gateway in platform)
        # By merchant: those that have accounts of their own.
        self._own: Mapping[str, tuple[Candidate, ...]] = {}
        self._choices: dict[str, AccountChoice] = {}
        self._keep_choices()

    @property
    def routed_accounts(self) -> dict[str, str]:
        """The gateway of each account between which payments are routed."""
        groups = [self._platform, *self._own.values()]
        return {each.id: each.gateway for group in groups if len(group) > 1 for each in group}

    async def refresh(self) -> None:
        async with self._db.begin() as tx:
            self.rules = await store.current_rules(tx)

    async def share_health(self) -> None:
        await self.health.share(self.routed_accounts)

    async def read_attempts(self) -> None:
        await self.health.read_attempts(self.routed_accounts)

    def set_own_accounts(self, own: Mapping[str, tuple[Candidate, ...]]) -> None:
        """*own*: the accounts of each merchant that has some."""
        self._own = own
        self._keep_choices()

    def candidates(self, merchant_id: str) -> tuple[Candidate, ...]:
        """The merchant's own accounts, or the platform's; none where those do not serve the merchant."""
        return self._own.get(merchant_id) or (self._platform if self._platform_serves(merchant_id) else ())

    def choose(self, request: RouteRequest) -> AccountChoice:
        """Raises NoGatewayAccount; RequestInvalid when all that is missing is the customer's number."""
        candidates = self.candidates(request.merchant_id)
        if len(candidates) == 1 and domain.may_take(candidates[0], request):
            return self._choices[candidates[0].id]
        decision = domain.route(request, candidates, self.rules, self.health.health())
        if decision is None:
            reasons = set(domain.why_none(request, candidates).values())
            if Reason.PHONE_NEEDED in reasons:
                raise RequestInvalid(
                    "the gateway needs a phone number of the customer", customerPhone=request.phone_problem
                )
            raise NoGatewayAccount("no gateway account takes this payment")
        account_id = decision.gateway_account_id
        self.health.sent(account_id)
        choice = self._choices[account_id]
        metrics.routed(choice.gateway, decision.reason.value)
        return AccountChoice(choice.gateway, account_id, (decision,))

    def next_account(self, payment: Payment, tried: Mapping[str, Reason]) -> RouteDecision | None:
        """Another account for a payment whose order none of the *tried* ones made; None when there is none that works.

        The customer's number is not looked at again: a gateway that needs it refuses the order.
        """
        candidates = self.candidates(payment.merchant_id)
        if len(candidates) == 1:
            return None
        request = request_of(payment, tried)
        decision = domain.route(request, candidates, self.rules, self.health.health())
        return None if decision is None or decision.is_unhealthy else decision

    def explain(self, request: RouteRequest) -> RouteDecision | None:
        """What would be decided now; nothing is sent."""
        return domain.route(request, self.candidates(request.merchant_id), self.rules, self.health.health())

    def gateway_of(self, account_id: str) -> str:
        """The gateway of an account that a decision names."""
        return self._choices[account_id].gateway

    def owners(self) -> dict[str, str]:
        """The merchant of each account, "" for the platform's."""
        own = {each.id: merchant for merchant, accounts in self._own.items() for each in accounts}
        return {each.id: "" for each in self._platform} | own

    def _priority(self, gateway: Gateway) -> int:
        return 0 if gateway.account.gateway == self._default_gateway else 100

    def _keep_choices(self) -> None:
        groups = [self._platform, *self._own.values()]
        self._choices = {each.id: AccountChoice(each.gateway, each.id) for group in groups for each in group}


def candidate(gateway: Gateway, priority: int) -> Candidate:
    """One of the platform's own accounts."""
    return Candidate(
        id=gateway.account.id,
        gateway=gateway.account.gateway,
        priority=priority,
        needs_customer_phone=gateway.capabilities.needs_customer_phone,
    )


def request_of(payment: Payment, tried: Mapping[str, Reason]) -> RouteRequest:
    return RouteRequest(
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        amount=payment.amount,
        method=payment.method_hint,
        tried=tried,
    )


class RoutingBook(msgspec.Struct, frozen=True):
    """Change the rules: a new version with every change, the old ones stay."""

    db: Database
    clock: Clock
    router: Router
    authorizer: Authorizer

    def explain(self, request: RouteRequest) -> RouteDecision:
        """Where a payment would go now; nothing is sent. Raises NoGatewayAccount."""
        decision = self.router.explain(request)
        if decision is None:
            raise NoGatewayAccount("no gateway account takes this payment")
        return decision

    async def explain_payment(self, payment_id: UUID) -> tuple[str, list[RouteDecision]]:
        """The account of a payment, and what was decided about it, oldest first. Raises PaymentNotFound."""
        async with self.db.begin() as tx:
            payments = await queries.payments_by_id(tx, [payment_id])
            if not payments:
                raise PaymentNotFound("there is no such payment")
            return payments[0].gateway_account_id, await store.decisions_of(tx, payment_id)

    async def rules(self) -> RoutingRules:
        """Those in force, from the table."""
        async with self.db.begin() as tx:
            return await store.current_rules(tx)

    async def set_rules_for(self, caller: Caller, request: RulesRequest) -> RoutingRules:
        """As `set_rules`, for a person. Raises RightsOutdated, or CalleeUnavailable without identity's answer."""
        await self.authorizer.require(caller, CHANGE)
        return await self.set_rules(request)

    async def set_rules(self, request: RulesRequest) -> RoutingRules:
        """The new version. Raises RoutingRuleInvalid, or RoutingRulesChanged when *version* is not in force."""
        domain.check_rules(request.rules, self.router.owners())
        rules = await set_rules(self.db, request, self.clock.now())
        # The other replicas follow with their next refresh.
        self.router.rules = rules
        return rules


@retried
async def set_rules(db: Database, request: RulesRequest, now: datetime) -> RoutingRules:
    """See RoutingBook.set_rules."""
    async with db.begin() as tx:
        before = await store.current_rules(tx)
        if before.rules == request.rules and before.version == request.version + 1:
            return before
        version = request.version + 1
        if before.version != request.version or not await store.add_version(
            tx, version, request.rules, request.actor_id, request.reason, now
        ):
            raise RoutingRulesChanged(version=f"is not in force: {before.version} is")
        rules = RoutingRules(version, request.rules)
        await outbox.append(
            tx, [routing_events.audit_rules(before, rules, request.merchant_id, request.actor_id, request.reason, now)]
        )
    return rules
