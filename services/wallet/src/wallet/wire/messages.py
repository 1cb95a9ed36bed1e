"""What travels by gRPC."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from uuid import UUID

from commdesk.common.v1 import common_pb2
from commdesk.wallet.v1 import wallet_pb2
from common import grpc_client, ids
from common.errors import DomainError
from common.events import micros
from wallet.domain.batch import Result
from wallet.domain.errors import HoldInvalid
from wallet.domain.holds import Hold, HoldRequest, SpentCredits
from wallet.domain.operations import Consumption, Forgiveness
from wallet.domain.wallets import Owner, Pack, PaymentGrant, Transaction, TransactionType, Wallet

_POLICIES = {wallet_pb2.SpentCredits.Value(f"SPENT_CREDITS_{policy}"): policy for policy in SpentCredits}
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


def hold_request(message: wallet_pb2.HoldRequest) -> HoldRequest | DomainError:
    """An item that cannot be read is refused alone, as one that cannot be held is."""
    policy = _POLICIES.get(message.policy)
    if policy is None:
        return HoldInvalid("the hold is malformed", policy="BLOCK, DEBT or ABSORB")
    try:
        payment_id = ids.decode("pay", message.payment_id)
    except ids.IdInvalid as error:
        return error
    return HoldRequest(
        message.operation_key,
        owner(message.owner),
        payment_id,
        message.credits_paid,
        message.credits_bonus,
        policy,
    )


async def each_readable(
    items: Iterable[wallet_pb2.HoldRequest],
    carry_out: Callable[[Sequence[HoldRequest]], Awaitable[Sequence[Hold | DomainError]]],
) -> list[Hold | DomainError]:
    """What *carry_out* answers to the items that can be read; the others are refused where they stand."""
    requests = [hold_request(item) for item in items]
    readable = [request for request in requests if isinstance(request, HoldRequest)]
    results = iter(await carry_out(readable) if readable else ())
    return [request if isinstance(request, DomainError) else next(results) for request in requests]


def hold_results(results: Iterable[Hold | DomainError], *, is_preview: bool = False) -> list[wallet_pb2.HoldResult]:
    return [
        wallet_pb2.HoldResult(error=grpc_client.error_message(result))
        if isinstance(result, DomainError)
        else wallet_pb2.HoldResult(hold=_hold_message(result, is_preview))
        for result in results
    ]


def _hold_message(hold: Hold, is_preview: bool) -> wallet_pb2.Hold:
    return wallet_pb2.Hold(
        hold_id="" if is_preview else ids.encode("hld", hold.id),
        credits_paid=hold.credits_paid,
        credits_bonus=hold.credits_bonus,
        missing_paid=hold.missing_paid,
        missing_bonus=hold.missing_bonus,
        value=common_pb2.Money(minor=hold.value_minor, currency=hold.currency),
        state="" if is_preview else hold.state,
    )


def forgiveness(message: wallet_pb2.DebtForgiveness) -> Forgiveness:
    return Forgiveness(message.idempotency_key, owner(message.owner), message.credits, message.reason, message.actor)


def forgive_response(results: Iterable[Result]) -> wallet_pb2.ForgiveDebtsResponse:
    return wallet_pb2.ForgiveDebtsResponse(results=consume_response(results).results)


def payment_grant_message(grant: PaymentGrant) -> wallet_pb2.PaymentGrant:
    return wallet_pb2.PaymentGrant(
        payment_id=ids.encode("pay", grant.payment_id),
        owner=owner_message(grant.owner),
        credits_paid=grant.credits_paid,
        credits_bonus=grant.credits_bonus,
        granted_again=grant.granted_again,
        reversed=grant.reversed,
        value=common_pb2.Money(minor=grant.value_minor, currency=grant.currency),
        grants=grant.grants,
    )


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
        locked=transaction.locked,
        debt=transaction.debt,
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
        debt=wallet.debt,
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
