"""What travels by gRPC."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from uuid import UUID

from commdesk.common.v1 import common_pb2
from commdesk.wallet.v1 import wallet_pb2
from common import grpc_client, ids
from common.errors import DomainError
from common.events import micros
from wallet.domain.batch import Result
from wallet.domain.operations import Consumption
from wallet.domain.wallets import Owner, Pack, Transaction, TransactionType, Wallet

_TYPES = {type: f"TRANSACTION_TYPE_{type}" for type in TransactionType}


# The transactions of a batch are of one moment.
unix_micros = lru_cache(maxsize=64)(micros)


def owner(message: wallet_pb2.Owner) -> Owner:
    return Owner(message.merchant_id, message.kind, message.id)


def consumption(message: wallet_pb2.Consumption) -> Consumption:
    return Consumption(message.operation_key, owner(message.owner), message.credits, message.purpose, message.source_id)


@lru_cache(maxsize=4096)
def owner_message(owner: Owner) -> wallet_pb2.Owner:
    """One for all messages of a batch that are about the same wallet; setting it in a message copies it."""
    return wallet_pb2.Owner(merchant_id=owner.merchant_id, kind=owner.kind, id=owner.id)


def consume_response(results: Iterable[Result]) -> wallet_pb2.ConsumeCreditsResponse:
    response = wallet_pb2.ConsumeCreditsResponse()
    for result in results:
        if isinstance(result, DomainError):
            response.results.add(error=grpc_client.error_message(result))
        else:
            response.results.add(transaction=transaction_message(result))
    return response


def transaction_message(transaction: Transaction) -> wallet_pb2.WalletTransaction:
    return wallet_pb2.WalletTransaction(
        transaction_id=ids.encode("wtx", transaction.id),
        wallet_id=wallet_id_text(transaction.wallet_id),
        type=_TYPES[transaction.type],
        credits=transaction.credits,
        balance_before=transaction.balance_before,
        balance_after=transaction.balance_after,
        seq=transaction.seq,
        source=transaction.source,
        source_id=transaction.source_id,
        operation_key=transaction.operation_key,
        created_unix_micros=unix_micros(transaction.created_at),
    )


@lru_cache(maxsize=4096)
def wallet_id_text(id: UUID) -> str:
    return ids.encode("wal", id)


def wallet_message(wallet: Wallet) -> wallet_pb2.Wallet:
    return wallet_pb2.Wallet(
        wallet_id=wallet_id_text(wallet.id),
        owner=owner_message(wallet.owner),
        available=wallet.available,
        locked=wallet.locked,
        pending=wallet.pending,
        lifetime_purchased=wallet.lifetime_purchased,
        seq=wallet.seq,
    )


def wallets_response(
    owners: Iterable[Owner], of_owners: Mapping[Owner, Wallet], by_id: Iterable[Wallet]
) -> wallet_pb2.GetWalletsResponse:
    """One for each owner, then those by id. An owner has nothing, under no id, before the first use."""
    messages = [
        wallet_message(of_owners[owner]) if owner in of_owners else wallet_pb2.Wallet(owner=owner_message(owner))
        for owner in owners
    ]
    return wallet_pb2.GetWalletsResponse(wallets=messages + [wallet_message(wallet) for wallet in by_id])


def pack_message(pack: Pack) -> wallet_pb2.Pack:
    return wallet_pb2.Pack(
        pack_id=pack.pack_id,
        version=pack.version,
        name=pack.name,
        price=common_pb2.Money(minor=pack.price.minor, currency=pack.price.currency),
        credits_paid=pack.credits_paid,
        credits_bonus=pack.credits_bonus,
    )
