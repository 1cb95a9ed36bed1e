"""What a newer release may do to databases and broker: add."""

import pytest

from ops.structures import TakenAway, added

BINDING = "binding payment.exchange payment.success wallet.credit"
BEFORE = {"column payment.payments.id uuid", "queue wallet.credit {}", BINDING}


def test_what_has_come_is_counted_by_kind() -> None:
    after = BEFORE | {"column payment.payments.note text", "column payment.payments.at timestamptz", "exchange e topic"}
    assert added(BEFORE, after) == "column + 2, exchange + 1"
    assert added(BEFORE, BEFORE) == "nothing"


@pytest.mark.parametrize(
    "after",
    [
        BEFORE - {BINDING},
        BEFORE - {"column payment.payments.id uuid"} | {"column payment.payments.id text"},
        BEFORE - {"queue wallet.credit {}"} | {'queue wallet.credit {"x-message-ttl": 1}'},
    ],
    ids=["a binding is gone", "a column has another type", "a queue has other arguments"],
)
def test_what_is_gone_or_changed_is_an_error(after: set[str]) -> None:
    with pytest.raises(TakenAway, match="no longer there as they were"):
        added(BEFORE, after)
