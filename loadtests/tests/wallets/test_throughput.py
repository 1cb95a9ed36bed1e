"""The rate's course, from batches that a test made up."""

import pytest

from loadtests.wallets.throughput import Booked, rates

START = 1_000.0


def test_each_slice_has_the_rate_of_its_own_time() -> None:
    batches = [Booked(START + 1, 100), Booked(START + 2, 100), Booked(START + 4, 100), Booked(START + 6, 100)]
    assert rates(batches, START, 200) == [100, 50]


def test_a_border_within_a_batch_divides_its_time() -> None:
    assert rates([Booked(START + 1, 150), Booked(START + 2, 150)], START, 100) == pytest.approx([150, 150, 150])


def test_one_batch_may_hold_several_slices() -> None:
    assert rates([Booked(START + 4, 400)], START, 100) == pytest.approx([100] * 4)


def test_what_is_left_over_counts_with_the_last_slice() -> None:
    assert rates([Booked(START + 1, 100), Booked(START + 2, 150)], START, 100) == pytest.approx([100, 150])


def test_batches_come_in_any_order() -> None:
    assert rates([Booked(START + 2, 100), Booked(START + 1, 100)], START, 100) == [100, 100]


def test_less_than_a_slice_is_one_slice() -> None:
    assert rates([Booked(START + 2, 10)], START, 100) == [5]
