"""What operators read of a payment, a wallet, a transaction or an owner."""

from types import SimpleNamespace

from common import ids
from common.clock import FakeClock
from common.database import Database
from wallet.use_cases import credits, wallets

from .. import builders as make


async def test_a_payment_a_wallet_and_a_user_have_their_timelines(db: Database, clock: FakeClock) -> None:
    first, second = make.grant(paid=100, bonus=0, net=100), make.grant(paid=100, bonus=0, net=100)
    async with db.begin() as tx:
        for each in (first, second):
            await credits.grant_credits(tx, clock, [each])
    await credits.consume_credits(db, clock, [make.consumption(100, "all of the first")])
    [last] = await credits.consume_credits(db, clock, [make.consumption(1, "of the second")])

    async def timeline_of(reference: str) -> SimpleNamespace:
        async with db.begin() as tx:
            timeline = await wallets.timeline(tx, reference)
        return SimpleNamespace(
            keys=[entry.fields["operationKey"] for entry in timeline.entries], also=timeline.references
        )

    paid = await timeline_of(first.source_id)
    assert paid.keys == [first.operation_key, "all of the first"]
    [wallet_id] = [reference for reference in paid.also if reference.startswith("wal_")]
    for reference in (wallet_id, "usr_asha"):
        assert len((await timeline_of(reference)).keys) == 4
    assert (await timeline_of(wallet_id)).also == sorted([wallet_id, "usr_asha", first.source_id, second.source_id])
    assert (await timeline_of(ids.encode("wtx", last.id))).keys == ["of the second"]
    assert (await timeline_of("ord_of_somebody_else")).keys == []
