"""Which gateway account takes a payment's order, and why none of the others does. Pure.

The candidates are the merchant's own accounts, or the platform's where the merchant has none. Rules are read in the
order of their priority; each may name an account, for a share of the payments that it matches. Without a rule the
first candidate takes the payment. An account whose calls fail is passed over while another one works; where none does,
the rules decide alone: to refuse customers would be worse than to try.
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from common.errors import InvalidArgument
from common.money import Money

# The most candidates of a merchant, and the most rules of a version.
ACCOUNTS_MAX: Final = 16
RULES_MAX: Final = 200
# The smallest unit in which payments are shared out.
_DRAWS: Final = 10_000


class RoutingRuleInvalid(InvalidArgument):
    fix = "Correct the field that is named: the account must exist and be the platform's or that merchant's own."


class Reason(StrEnum):
    """Why an account takes a payment, or does not."""

    # It takes it.
    ONLY_ACCOUNT = "only_account"
    RULE = "rule"
    SUCCESS_RATE = "success_rate"
    EXPLORATION = "exploration"
    DEFAULT = "default"
    # It does not.
    NOT_CHOSEN = "not_chosen"
    DISABLED = "account_disabled"
    METHOD_NOT_ENABLED = "method_not_enabled"
    AMOUNT_OUTSIDE_LIMITS = "amount_outside_limits"
    PHONE_NEEDED = "customer_phone_needed"
    CALLS_FAIL = "calls_fail"
    METHOD_DOWN = "method_down"
    # It was tried before.
    ORDER_REFUSED = "order_refused"
    NO_ORDER_MADE = "no_order_made"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway account that may take payments of a merchant."""

    id: str
    gateway: str
    # Lower is tried first.
    priority: int = 100
    is_enabled: bool = True
    # Those that it takes; none stands for all.
    methods: frozenset[str] = frozenset()
    amount_min_minor: int = 0
    amount_max_minor: int | None = None
    needs_customer_phone: bool = False


class RoutingRule(msgspec.Struct, frozen=True, kw_only=True):
    """What matches goes to *gateway_account_id*, for *share_percent* of the payments; the rest to the next rule.

    "" matches everything. Without an account the one whose attempts succeed most often takes the payment, but for
    *exploration_percent*, which go to another one: what gets no payments shows no success either.
    """

    priority: int
    merchant_id: str = ""
    method: str = ""
    currency: str = ""
    amount_min_minor: int = 0
    amount_max_minor: int | None = None
    share_percent: int = 100
    gateway_account_id: str = ""
    exploration_percent: int = 5

    def matches(self, request: "RouteRequest") -> bool:
        amount = request.amount
        return (
            self.merchant_id in ("", request.merchant_id)
            and self.method in ("", request.method)
            and self.currency in ("", amount.currency)
            and self.amount_min_minor <= amount.minor
            and (self.amount_max_minor is None or amount.minor <= self.amount_max_minor)
        )


class RoutingRules(msgspec.Struct, frozen=True):
    """One version of the rules, in the order in which they are tried. Version 0 has none."""

    version: int = 0
    rules: tuple[RoutingRule, ...] = ()


class Health(msgspec.Struct, frozen=True):
    """How accounts do at the moment."""

    # Accounts whose calls to make an order fail.
    failing: frozenset[str] = frozenset()
    # (account, method) → recent attempts that succeeded, and all of them.
    attempts: Mapping[tuple[str, str], tuple[int, int]] = {}
    # From so many recent attempts on, a method with a lower share of successes counts as down.
    attempts_min: int = 20
    success_percent_min: int = 20

    def problem(self, account_id: str, method: str) -> Reason | None:
        if account_id in self.failing:
            return Reason.CALLS_FAIL
        succeeded, all_of_them = self.attempts.get((account_id, method), (0, 0))
        is_down = all_of_them >= self.attempts_min and succeeded * 100 < self.success_percent_min * all_of_them
        return Reason.METHOD_DOWN if method and is_down else None

    def success_rate(self, account_id: str, method: str) -> float:
        """The rate that is expected of the next attempt; a half where nothing is known (Laplace's rule)."""
        succeeded, all_of_them = self.attempts.get((account_id, method), (0, 0))
        if not method:
            rows = [counts for (account, _), counts in self.attempts.items() if account == account_id]
            succeeded, all_of_them = sum(row[0] for row in rows), sum(row[1] for row in rows)
        return (succeeded + 1) / (all_of_them + 2)


class RouteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a payment before it has an account."""

    payment_id: UUID
    merchant_id: str
    amount: Money
    # The method that was asked for; "" for any.
    method: str = ""
    # Why a gateway cannot be given the customer's number; "" when it can.
    phone_problem: str = ""
    # Accounts that were tried before, with what came of it.
    tried: Mapping[str, Reason] = {}


class RouteDecision(msgspec.Struct, frozen=True):
    """What was decided, as it is recorded with the payment."""

    gateway_account_id: str
    reason: Reason
    # The version of the rules, and the priority of the rule where one decided.
    rules_version: int
    priority: int | None = None
    # The accounts that do not take the payment, with the reason of each.
    others: dict[str, Reason] = {}
    # Whether no account works, so that it had to be one whose calls fail.
    is_unhealthy: bool = False


def route(
    request: RouteRequest, candidates: Sequence[Candidate], rules: RoutingRules, health: Health
) -> RouteDecision | None:
    """The account for the payment; None when no candidate may take it. The same input has the same outcome."""
    excluded = {each.id: reason for each in candidates if (reason := _exclusion(each, request))}
    possible = sorted((each for each in candidates if each.id not in excluded), key=lambda each: each.priority)
    if not possible:
        return None
    problems = {each.id: reason for each in possible if (reason := health.problem(each.id, request.method))}
    usable = [each for each in possible if each.id not in problems] or possible
    chosen, reason, priority = _choose(request, usable, rules, health)
    if len(candidates) == 1:
        reason = Reason.ONLY_ACCOUNT
    others = {
        each.id: excluded.get(each.id) or problems.get(each.id) or Reason.NOT_CHOSEN
        for each in candidates
        if each.id != chosen
    }
    return RouteDecision(chosen, reason, rules.version, priority, others, is_unhealthy=chosen in problems)


def may_take(candidate: Candidate, request: RouteRequest) -> bool:
    return _exclusion(candidate, request) is None


def why_none(request: RouteRequest, candidates: Sequence[Candidate]) -> dict[str, Reason]:
    """Why each candidate may not take the payment."""
    return {each.id: reason for each in candidates if (reason := _exclusion(each, request))}


def _exclusion(candidate: Candidate, request: RouteRequest) -> Reason | None:
    if not candidate.is_enabled:
        return Reason.DISABLED
    if candidate.id in request.tried:
        return request.tried[candidate.id]
    if candidate.methods and request.method and request.method not in candidate.methods:
        return Reason.METHOD_NOT_ENABLED
    minor, largest = request.amount.minor, candidate.amount_max_minor
    if minor < candidate.amount_min_minor or (largest is not None and minor > largest):
        return Reason.AMOUNT_OUTSIDE_LIMITS
    return Reason.PHONE_NEEDED if candidate.needs_customer_phone and request.phone_problem else None


def _choose(
    request: RouteRequest, usable: Sequence[Candidate], rules: RoutingRules, health: Health
) -> tuple[str, Reason, int | None]:
    accounts = {each.id for each in usable}
    for position, rule in enumerate(rules.rules):
        if not rule.matches(request) or _draw(request.payment_id, position) >= rule.share_percent * 100:
            continue
        if rule.gateway_account_id in accounts:
            return rule.gateway_account_id, Reason.RULE, rule.priority
        if not rule.gateway_account_id:
            return *_by_success(request, usable, rule, health), rule.priority
    return usable[0].id, Reason.DEFAULT, None


def _by_success(
    request: RouteRequest, usable: Sequence[Candidate], rule: RoutingRule, health: Health
) -> tuple[str, Reason]:
    best = max(usable, key=lambda each: health.success_rate(each.id, request.method))
    rest = [each for each in usable if each is not best]
    draw = _draw(request.payment_id, -1)
    if rest and draw < rule.exploration_percent * 100:
        return rest[draw % len(rest)].id, Reason.EXPLORATION
    return best.id, Reason.SUCCESS_RATE


def _draw(payment_id: UUID, salt: int) -> int:
    """From 0 to 9999, equally often, and the same for the same payment: a decision can be made again."""
    digest = hashlib.sha256(payment_id.bytes + salt.to_bytes(4, "big", signed=True)).digest()
    return int.from_bytes(digest[:8], "big") % _DRAWS


def check_rules(rules: Sequence[RoutingRule], owners: Mapping[str, str]) -> None:
    """*owners*: the merchant of each account, "" for the platform's. Raises RoutingRuleInvalid."""
    for position, rule in enumerate(rules):
        field = f"rules.{position}"
        account = rule.gateway_account_id
        if account and account not in owners:
            raise RoutingRuleInvalid(**{f"{field}.gatewayAccountId": "there is no such account"})
        if account and owners[account] not in ("", rule.merchant_id):
            raise RoutingRuleInvalid(**{f"{field}.gatewayAccountId": "is another merchant's account"})
        if rule.amount_max_minor is not None and rule.amount_max_minor < rule.amount_min_minor:
            raise RoutingRuleInvalid(**{f"{field}.amountMax": "is less than amountMin"})
    priorities = [rule.priority for rule in rules]
    if priorities != sorted(set(priorities)):
        raise RoutingRuleInvalid(rules="must have priorities that rise from rule to rule")
