"""Bugs to plant: each takes one guard away. A checker that never went red proves nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Planted:
    """All off is the product as it is."""

    # The inbox lets every envelope through, also one that was worked before.
    inbox_claim: bool = False
    # The wallet does not look its operation keys up.
    business_key: bool = False
    # Wallets are read without a lock: two batches work on one balance.
    row_lock: bool = False
    # Envelopes are published before their transaction commits.
    early_publish: bool = False
    # Messages are acknowledged before they are worked.
    early_ack: bool = False
    # What was confirmed is not marked, but what was only sent is.
    mark_unconfirmed: bool = False
    # An unroutable message counts as published.
    not_mandatory: bool = False
    # An intent's lease ends before the gateway answers.
    short_lease: bool = False
    # Each attempt of an intent has a key of its own at the gateway.
    fresh_gateway_key: bool = False
    # Who waits on a connection that the client library finds stuck is cancelled, and ends without a word.
    silent_end: bool = False
