"""Domain to and from protobuf and JSON; no decisions."""

from wallet.wire.events import consume_requested, events, payment_succeeded
from wallet.wire.json import PackJson, TransactionsJson, WalletJson, pack_json, transactions_json, wallet_json
from wallet.wire.messages import (
    consume_response,
    consumption,
    owner,
    pack_message,
    transaction_message,
    wallets_response,
)
from wallet.wire.stories import meant, story

__all__ = [
    "PackJson",
    "TransactionsJson",
    "WalletJson",
    "consume_requested",
    "consume_response",
    "consumption",
    "events",
    "meant",
    "owner",
    "pack_json",
    "pack_message",
    "payment_succeeded",
    "story",
    "transaction_message",
    "transactions_json",
    "wallet_json",
    "wallets_response",
]
