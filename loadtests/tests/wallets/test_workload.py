"""Who spends and who is granted to: shares, reserves, and that no spend can ever be refused."""

from itertools import islice

import pytest

from loadtests.wallets import workload
from loadtests.wallets.plan import CREDITS_PAID, SPEND_CREDITS_MAX
from loadtests.wallets.workload import GRANTED, Step

IN_FLIGHT = 500


def test_shares_are_those_of_zipf_and_dealt_out_at_random() -> None:
    shares = workload.shares(1_000, 1.0, seed=1)
    assert sum(shares) == pytest.approx(1)
    ordered = sorted(shares, reverse=True)
    assert ordered[0] / ordered[9] == pytest.approx(10)
    assert shares != ordered
    assert shares == workload.shares(1_000, 1.0, seed=1)


def test_without_an_exponent_everybody_is_as_busy_as_everybody_else() -> None:
    assert set(workload.shares(10, 0.0, seed=1)) == {0.1}


def test_the_same_seed_makes_the_same_load() -> None:
    shares = workload.shares(50, 1.0, seed=1)
    first, again, other = (list(islice(workload.steps(shares, IN_FLIGHT, seed), 2_000)) for seed in (1, 1, 2))
    assert first == again != other


def test_one_transaction_in_ten_is_a_grant() -> None:
    steps = list(islice(workload.steps(workload.shares(100, 1.0, seed=1), IN_FLIGHT, seed=1), 50_000))
    assert 0.09 < sum(not step.credits for step in steps) / len(steps) < 0.11


def test_the_first_transactions_are_as_much_work_as_the_later_ones() -> None:
    steps = islice(workload.steps(workload.shares(2_000, 0.0, seed=1), IN_FLIGHT, seed=1), 40_000)
    grants = [sum(not step.credits for step in islice(steps, 4_000)) for _ in range(10)]
    assert min(grants) > 0.8 * max(grants)


@pytest.mark.parametrize("credits", [1, 4_999, 5_000, 5_001, 25_000, 3_362_634])
def test_what_a_wallet_holds_lies_in_lots_as_grants_leave_them(credits: int) -> None:
    begun, *whole = workload.lots(credits)
    assert begun + sum(whole) == credits
    assert 0 < begun <= CREDITS_PAID
    assert set(whole) <= {CREDITS_PAID}


@pytest.mark.parametrize(("wallets", "zipf"), [(10, 0.0), (300, 1.0)])
def test_no_order_of_what_is_under_way_overdraws_a_wallet(wallets: int, zipf: float) -> None:
    """The worst order: for as long as may be, spends are carried out and grants are not."""
    shares = workload.shares(wallets, zipf, seed=1)
    steps = list(islice(workload.steps(shares, IN_FLIGHT, seed=3), 30_000))
    done = workload.openings(shares, IN_FLIGHT, seed=3)
    late: list[Step] = []
    for number, step in enumerate(steps):
        if step.credits:
            done[step.wallet] -= step.credits
            assert done[step.wallet] >= 0
        else:
            late.append(step)
        if number % IN_FLIGHT == IN_FLIGHT - 1:
            for grant in late:
                done[grant.wallet] += GRANTED
            late.clear()


def test_a_reserve_covers_what_is_under_way_and_no_more_than_all_of_it() -> None:
    assert workload.reserve(1.0, IN_FLIGHT) == IN_FLIGHT * SPEND_CREDITS_MAX
    assert 0 < workload.reserve(1e-6, IN_FLIGHT) <= 10 * SPEND_CREDITS_MAX
