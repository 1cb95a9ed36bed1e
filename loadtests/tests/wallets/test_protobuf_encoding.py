"""What is put together by hand is what the generated classes write and read."""

import pytest

from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from commdesk.wallet.v1.wallet_pb2 import ConsumeCreditsRequest, Consumption, Owner
from loadtests.wallets import protobuf_encoding
from loadtests.wallets.plan import MERCHANT_ID, PURPOSE, SPEND_CREDITS_MAX

OWNER_ID = "usr_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def expected(key: bytes, credits: int) -> Consumption:
    return Consumption(
        operation_key=key.decode(),
        owner=Owner(merchant_id=MERCHANT_ID, kind="USER", id=OWNER_ID),
        credits=credits,
        purpose=PURPOSE,
        source_id=key.decode(),
    )


@pytest.mark.parametrize("credits", [1, 127, 128, SPEND_CREDITS_MAX])
def test_a_spend_is_spelt_as_protobuf_spells_it(credits: int) -> None:
    key = protobuf_encoding.keys()[0]
    spend = protobuf_encoding.consumption(key, protobuf_encoding.owner(OWNER_ID), credits)
    assert spend == expected(key, credits).SerializeToString()
    event = WalletConsumeRequested.FromString(
        protobuf_encoding.request(key, protobuf_encoding.varint(1_700_000_000_000_000), spend)
    )
    assert event == WalletConsumeRequested(
        event_id="evt" + key.decode()[3:], time_unix_micros=1_700_000_000_000_000, consumption=expected(key, credits)
    )


def test_a_list_is_its_items_one_after_the_other() -> None:
    keys = protobuf_encoding.keys()[:3]
    spends = [protobuf_encoding.consumption(key, protobuf_encoding.owner(OWNER_ID), 5) for key in keys]
    request = ConsumeCreditsRequest.FromString(b"".join(map(protobuf_encoding.item, spends)))
    assert list(request.items) == [expected(key, 5) for key in keys]


def test_keys_are_many_different_ones_in_order() -> None:
    first, then = protobuf_encoding.keys(), protobuf_encoding.keys()
    assert len({*first, *then}) == 2 * protobuf_encoding.KEYS
    assert first == sorted(first)
    assert first[-1] < then[0]
