"""Routing: the account that takes a payment is one that may, and the reasons of the others are complete."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from common.money import Money
from payment.domain.routing import (
    Candidate,
    Health,
    Reason,
    RouteRequest,
    RoutingRule,
    RoutingRuleInvalid,
    RoutingRules,
    check_rules,
    may_take,
    route,
)
from payment.settings import Settings
from payment.use_cases.gateway_health import GatewayHealth
from payment.use_cases.routing import Router

HEALTHY = Health()
ACCOUNTS = ("gwa_a", "gwa_b", "gwa_c")
METHODS = ("", "upi", "card")

requests = st.builds(
    RouteRequest,
    payment_id=st.uuids(),
    merchant_id=st.sampled_from(["mer_a", "mer_b"]),
    amount=st.integers(1, 1_000).map(Money),
    method=st.sampled_from(METHODS),
    phone_problem=st.sampled_from(["", "is not Indian"]),
    tried=st.dictionaries(st.sampled_from(ACCOUNTS), st.just(Reason.ORDER_REFUSED), max_size=2),
)


def candidate(account_id: str) -> st.SearchStrategy[Candidate]:
    return st.builds(
        Candidate,
        id=st.just(account_id),
        gateway=st.just("cashfree"),
        priority=st.integers(0, 3),
        is_enabled=st.booleans(),
        methods=st.sampled_from([frozenset[str](), frozenset({"upi"})]),
        amount_min_minor=st.sampled_from([0, 500]),
        amount_max_minor=st.sampled_from([None, 700]),
        needs_customer_phone=st.booleans(),
    )


candidates = st.integers(0, len(ACCOUNTS)).flatmap(lambda count: st.tuples(*map(candidate, ACCOUNTS[:count])))
one_rule = st.builds(
    RoutingRule,
    priority=st.just(0),
    merchant_id=st.sampled_from(["", "mer_a"]),
    method=st.sampled_from(METHODS),
    currency=st.sampled_from(["", "INR"]),
    amount_min_minor=st.sampled_from([0, 300]),
    amount_max_minor=st.sampled_from([None, 600]),
    share_percent=st.integers(1, 100),
    gateway_account_id=st.sampled_from(["", *ACCOUNTS, "gwa_gone"]),
    exploration_percent=st.integers(0, 50),
)
rule_sets = st.builds(RoutingRules, st.integers(1, 9), st.lists(one_rule, max_size=5).map(tuple))
healths = st.builds(
    Health,
    st.sets(st.sampled_from(ACCOUNTS)).map(frozenset),
    st.dictionaries(
        st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(METHODS)),
        st.integers(0, 100).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))),
    ),
)


@given(requests, candidates, rule_sets, healths)
def test_one_that_may_and_works_takes_it_and_each_other_has_its_reason(
    request: RouteRequest, accounts: tuple[Candidate, ...], rules: RoutingRules, health: Health
) -> None:
    decision = route(request, accounts, rules, health)
    possible = {each.id for each in accounts if may_take(each, request)}
    if decision is None:
        assert not possible
        return
    chosen = decision.gateway_account_id
    assert chosen in possible
    assert decision.others.keys() | {chosen} == {each.id for each in accounts}
    assert chosen not in decision.others
    healthy = {each for each in possible if health.problem(each, request.method) is None}
    # An account that fails takes payments only when no other one works.
    assert chosen in healthy if healthy else decision.is_unhealthy
    assert all(decision.others[each] is not Reason.NOT_CHOSEN for each in decision.others if each not in possible)
    assert route(request, accounts, rules, health) == decision


@given(requests, rule_sets, healths)
def test_an_account_that_was_tried_is_not_tried_again(
    request: RouteRequest, rules: RoutingRules, health: Health
) -> None:
    accounts = [Candidate(id=each, gateway="cashfree") for each in ACCOUNTS]
    decision = route(request, accounts, rules, health)
    assert decision is not None and decision.gateway_account_id not in request.tried


def rate(rules: RoutingRules, health: Health = HEALTHY, number: int = 4_000) -> Counter[str]:
    accounts = [Candidate(id=each, gateway="cashfree") for each in ACCOUNTS[:2]]
    chosen = Counter[str]()
    for index in range(number):
        request = RouteRequest(payment_id=UUID(int=index), merchant_id="mer_a", amount=Money(500), method="upi")
        decision = route(request, accounts, rules, health)
        assert decision is not None
        chosen[decision.gateway_account_id] += 1
    return chosen


def test_a_rule_with_a_share_takes_that_share() -> None:
    chosen = rate(RoutingRules(1, (RoutingRule(priority=1, share_percent=30, gateway_account_id="gwa_b"),)))
    assert 1_050 < chosen["gwa_b"] < 1_350


def test_the_success_rate_decides_but_for_the_explored_share() -> None:
    rules = RoutingRules(1, (RoutingRule(priority=1, exploration_percent=10),))
    chosen = rate(rules, Health(attempts={("gwa_a", "upi"): (50, 100), ("gwa_b", "upi"): (90, 100)}))
    assert 3_500 < chosen["gwa_b"] < 3_700


def test_the_first_rule_that_matches_wins() -> None:
    rules = RoutingRules(
        3,
        (
            RoutingRule(priority=1, method="card", gateway_account_id="gwa_a"),
            RoutingRule(priority=2, amount_min_minor=400, gateway_account_id="gwa_b"),
            RoutingRule(priority=3, gateway_account_id="gwa_a"),
        ),
    )
    assert rate(rules, number=50) == {"gwa_b": 50}


@pytest.mark.parametrize("success", [0, 19])
def test_a_method_that_is_down_goes_elsewhere(success: int) -> None:
    chosen = rate(RoutingRules(), Health(attempts={("gwa_a", "upi"): (success, 100)}), number=20)
    assert chosen == {"gwa_b": 20}


def test_few_attempts_do_not_make_a_method_count_as_down() -> None:
    assert rate(RoutingRules(), Health(attempts={("gwa_a", "upi"): (0, 19)}), number=20) == {"gwa_a": 20}


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([RoutingRule(priority=1, gateway_account_id="gwa_x")], "rules.0.gatewayAccountId"),
        ([RoutingRule(priority=1, gateway_account_id="gwa_own")], "rules.0.gatewayAccountId"),
        ([RoutingRule(priority=1, amount_min_minor=5, amount_max_minor=4)], "rules.0.amountMax"),
        ([RoutingRule(priority=1), RoutingRule(priority=1)], "rules"),
        ([RoutingRule(priority=2), RoutingRule(priority=1)], "rules"),
    ],
)
def test_rules_that_cannot_be_are_refused(rules: list[RoutingRule], field: str) -> None:
    with pytest.raises(RoutingRuleInvalid) as raised:
        check_rules(rules, {"gwa_a": "", "gwa_own": "mer_own"})
    assert list(raised.value.fields) == [field]


def test_a_merchants_own_account_is_for_its_rules_only() -> None:
    check_rules([RoutingRule(priority=1, merchant_id="mer_own", gateway_account_id="gwa_own")], {"gwa_own": "mer_own"})


def test_a_decision_can_be_made_again() -> None:
    rules = RoutingRules(1, (RoutingRule(priority=1, share_percent=50, gateway_account_id="gwa_b"),))
    accounts = [Candidate(id=each, gateway="cashfree") for each in ACCOUNTS]
    for _ in range(20):
        request = RouteRequest(payment_id=ids.new(), merchant_id="mer_a", amount=Money(500))
        assert len({route(request, accounts, rules, Health()).gateway_account_id for _ in range(3)}) == 1  # type: ignore[union-attr]


def test_the_platforms_accounts_serve_others_in_production_only_where_it_says_so() -> None:
    production = Settings.model_construct(environment="production", platform_account_merchants=("mer_partner",))
    assert production.platform_accounts_serve("mer_commdesk")
    assert production.platform_accounts_serve("mer_partner")
    assert not production.platform_accounts_serve("mer_shop")
    assert not production.platform_accounts_serve("mer_commdesk_test")
    assert Settings.model_construct(environment="development").platform_accounts_serve("mer_shop")


def test_a_merchant_whom_no_account_serves_is_sent_nowhere() -> None:
    router = Router(
        None, GatewayHealth.__new__(GatewayHealth), [], "", lambda merchant_id: merchant_id == "mer_commdesk"
    )  # type: ignore[arg-type]
    assert router.candidates("mer_shop") == ()
