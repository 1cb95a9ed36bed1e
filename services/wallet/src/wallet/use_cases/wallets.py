"""What is read: wallets, transactions, packs, grants of payments, timelines and totals."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from common.clock import Clock
from common.database import Database, Tx
from common.delivery import Timeline
from wallet.domain.wallets import (
    Owner,
    Pack,
    PaymentGrant,
    Transaction,
    TransactionFilter,
    Wallet,
    WalletContents,
)
from wallet.store import queries
from wallet.wire import timeline as lines

TIMELINE_ENTRIES_MAX = 200


async def read_wallet(db: Database, owner: Owner) -> WalletContents:
    """An owner's wallet and its open credits by expiry."""
    async with db.begin() as tx:
        wallet = (await queries.wallets_of(tx, [owner])).get(owner)
        return WalletContents(wallet, await queries.lot_sums(tx, wallet.id) if wallet else ())


async def read_wallets(
    db: Database, owners: Sequence[Owner], wallet_ids: Sequence[UUID]
) -> tuple[dict[Owner, Wallet], list[Wallet]]:
    """The wallets of those owners that have one, and those with these ids, without their lots."""
    async with db.begin() as tx:
        return await queries.wallets_of(tx, owners), await queries.wallets_by_id(tx, wallet_ids)


async def list_transactions(db: Database, owner: Owner, filter: TransactionFilter) -> list[Transaction]:
    """An owner's transactions, newest first."""
    async with db.begin() as tx:
        return await queries.transactions_of(tx, owner, filter)


async def list_packs(db: Database, clock: Clock, merchant_id: str) -> list[Pack]:
    """The packs that a merchant has on sale now, cheapest first."""
    async with db.begin() as tx:
        return await queries.packs_on_sale(tx, merchant_id, clock.now())


async def list_payment_grants(db: Database, payment_ids: Sequence[UUID]) -> list[PaymentGrant]:
    """What each payment was granted, of those that were granted anything, and what of it was taken back."""
    async with db.begin() as tx:
        return await queries.payment_grants(tx, payment_ids)


async def check_balances(tx: Tx, wallet_ids: Collection[UUID]) -> list[UUID]:
    """Rebuild the balances from their transactions and, apart from that, from their lots; returns the wallets that hold
    something else. For all wallets at once, less the order of each chain, it is in the totals: `wallets.mismatched`."""
    return await queries.mismatched_wallets(tx, wallet_ids)


async def timeline(tx: Tx, reference: str) -> Timeline:
    """What happened to a payment's credits, in a wallet, to an owner or in one transaction: the newest entries."""
    transactions = await queries.timeline_transactions(tx, lines.subject(reference), TIMELINE_ENTRIES_MAX)
    return lines.timeline(transactions)


async def totals(tx: Tx) -> Mapping[str, int]:
    """Sums over all wallets, all of one moment: see the README for the names."""
    return await queries.totals(tx)


async def recent_totals(tx: Tx) -> Mapping[str, int]:
    """Those that books are compared by, at a cost that does not grow with the table of transactions."""
    return await queries.recent_totals(tx)
