"""What value credits have, and in which order they burn."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wallet.domain.batch import WalletBatch, apply, lots_of
from wallet.domain.operations import CREDITS_MAX
from wallet.domain.wallets import Lot, LotKind, Transaction, TransactionType, burn_order

from .. import builders as make

CREDITS = st.integers(min_value=0, max_value=CREDITS_MAX)


@given(paid=CREDITS, bonus=CREDITS, net=st.integers(min_value=0, max_value=2**53), data=st.data())
def test_the_value_released_is_the_net_price_whatever_the_burn_pattern(
    paid: int, bonus: int, net: int, data: st.DataObject
) -> None:
    if not paid + bonus:
        return
    lots = lots_of(make.grant(paid=paid, bonus=bonus, net=net), make.new_id)
    assert sum(lot.value_minor for lot in lots) == net
    released = 0
    for lot in lots:
        while lot.remaining:
            # The last burn of many takes what is left, so that every example ends.
            slices = data.draw(st.integers(min_value=1, max_value=5))
            value = lot.burn(max(1, lot.remaining // slices))
            assert value >= 0
            assert lot.value_left_minor >= 0
            released += value
    assert released == net
    assert all(lot.value_left_minor == 0 for lot in lots)


@given(granted=st.integers(1, 10_000), value=st.integers(0, 10**7), data=st.data())
def test_what_has_left_a_lot_does_not_depend_on_the_slices(granted: int, value: int, data: st.DataObject) -> None:
    burnt = data.draw(st.integers(0, granted))
    cut = data.draw(st.integers(0, burnt))
    at_once = Lot(make.new_id(), LotKind.PAID, None, granted, granted, value, value)
    in_two = Lot(make.new_id(), LotKind.PAID, None, granted, granted, value, value)
    assert at_once.burn(burnt) == in_two.burn(cut) + in_two.burn(burnt - cut)
    assert at_once.value_left_minor == in_two.value_left_minor


def test_the_net_price_is_spread_over_bonus_credits_as_well() -> None:
    paid, bonus = lots_of(make.grant(paid=5000, bonus=500, net=42_373), make.new_id)
    assert (paid.kind, paid.value_minor) == (LotKind.PAID, 38_521)
    assert (bonus.kind, bonus.value_minor) == (LotKind.BONUS, 3_852)


def test_550_credits_from_a_fresh_pack_are_500_bonus_and_50_paid(now: datetime) -> None:
    batch = WalletBatch({make.owner(): make.wallet()}, {})
    granted, spent = apply(batch, [make.grant(), make.consumption(550)], now, make.new_id)
    assert isinstance(granted, Transaction)
    assert isinstance(spent, Transaction)
    assert (granted.type, granted.credits_paid, granted.credits_bonus) == (TransactionType.GRANT, 5000, 500)
    assert (spent.type, spent.credits_paid, spent.credits_bonus) == (TransactionType.CONSUME, -50, -500)
    assert (spent.balance_before, spent.balance_after, spent.seq) == (5500, 4950, 2)
    assert spent.value_minor == 3_852 + 38_521 * 50 // 5000


def test_of_lots_that_are_alike_the_bonus_burns_first(now: datetime) -> None:
    batch = WalletBatch({make.owner(): make.wallet()}, {})
    [_, spent] = apply(batch, [make.grant(paid=100, bonus=10), make.consumption(10)], now, make.new_id)
    assert isinstance(spent, Transaction)
    assert (spent.credits_bonus, spent.credits_paid) == (-10, 0)


def test_the_published_burn_order() -> None:
    soon, later = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=1)

    def lot(number: int, kind: LotKind, priority: int = 0, expires_at: datetime | None = None) -> Lot:
        return Lot(UUID(int=number), kind, None, 10, 10, 0, 0, priority, expires_at)

    in_order = [
        lot(9, LotKind.PAID, priority=-1),  # priority before everything
        lot(8, LotKind.PAID, expires_at=soon),  # then the soonest expiry, paid or not
        lot(6, LotKind.BONUS, expires_at=later),  # bonus before paid
        lot(5, LotKind.PAID, expires_at=later),
        lot(2, LotKind.BONUS),  # what never expires comes last, the oldest first
        lot(4, LotKind.BONUS),
        lot(1, LotKind.PAID),
        lot(3, LotKind.PAID),
    ]
    shuffled = random.Random(7).sample(in_order, len(in_order))
    assert sorted(shuffled, key=burn_order) == in_order
