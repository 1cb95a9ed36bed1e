"""The guards that keep every effect single and nothing lost, by name: one list for production, tests and faults.

Production builds `Guards.all()`. A test shows that a guard carries weight by building the same service without it,
`Guards.all().without(guards.ROW_LOCK)`, and going red. Each is consulted where the guarded code is constructed or
chooses its statement, never per item.
"""

from typing import Final, Self

from msgspec import Struct


class Guard(Struct, frozen=True):
    """*without* says what the code does when the guard is taken away."""

    name: str
    without: str


# What arrives.
INBOX_CLAIM: Final = Guard("inbox_claim", "an envelope that was handled before is handled again")
ACK_AFTER_COMMIT: Final = Guard("ack_after_commit", "messages are acknowledged before they are handled")
FRESH_HEADERS: Final = Guard("fresh_headers", "a redelivered event keeps the headers it arrived with, x-death included")
# What leaves.
OUTBOX: Final = Guard("outbox", "announcements are published from memory and written nowhere")
PUBLISH_AFTER_COMMIT: Final = Guard("publish_after_commit", "announcements are published before the commit")
MANDATORY: Final = Guard("mandatory", "a message that no queue is bound for counts as published")
MARK_CONFIRMED_ONLY: Final = Guard("mark_confirmed_only", "what was sent is marked as published without a confirm")
SWEEPER: Final = Guard("sweeper", "what was not confirmed right after its commit is never published again")
OUTBOX_LEASE: Final = Guard("outbox_lease", "sweepers take rows that another one is publishing")
CONNECTION_LOSS: Final = Guard("connection_loss", "a role that waits on a stuck connection ends without a word")
# Effects on the outside world.
INTENT_LEASE: Final = Guard("intent_lease", "workers take intents that another one is executing")
GATEWAY_KEY: Final = Guard("gateway_key", "each attempt of an intent has an idempotency key of its own at the gateway")
SIGNATURE: Final = Guard("signature", "webhooks are accepted whatever their signature")
# The wallet.
ROW_LOCK: Final = Guard("row_lock", "wallets are read without a lock: two batches change one balance")
LOCK_ORDER: Final = Guard("lock_order", "wallets are locked one by one in an order that changes")
OPERATION_KEY: Final = Guard("operation_key", "an operation's key is neither looked up nor unique")
HOLD_STATE: Final = Guard("hold_state", "a hold counts as held whatever became of it: an event takes effect again")

ALL: Final = (
    INBOX_CLAIM,
    ACK_AFTER_COMMIT,
    FRESH_HEADERS,
    OUTBOX,
    PUBLISH_AFTER_COMMIT,
    MANDATORY,
    MARK_CONFIRMED_ONLY,
    SWEEPER,
    OUTBOX_LEASE,
    CONNECTION_LOSS,
    INTENT_LEASE,
    GATEWAY_KEY,
    SIGNATURE,
    ROW_LOCK,
    LOCK_ORDER,
    OPERATION_KEY,
    HOLD_STATE,
)


class Guards(Struct, frozen=True):
    """The guards that are in place."""

    present: frozenset[Guard]

    @classmethod
    def all(cls) -> Self:
        """As production has it."""
        return cls(frozenset(ALL))

    def without(self, *guards: Guard) -> "Guards":
        """The same but for these."""
        return Guards(self.present.difference(guards))

    def has(self, guard: Guard) -> bool:
        return guard in self.present


def named(name: str) -> Guard:
    """The guard of that name. Raises KeyError."""
    return {guard.name: guard for guard in ALL}[name]
